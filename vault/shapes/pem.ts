const PEM = /^-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----\r?\n([\s\S]+)\r?\n-----END ([A-Z ]{0,20}PRIVATE KEY)-----\s*$/
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
const OPENSSH_MAGIC = Buffer.from('openssh-key-v1\0')
/** OpenSSH's own, and PEM of RFC 7468 (PKCS#8) and of OpenSSL (PKCS#1, SEC 1). */
const labels = ['OPENSSH PRIVATE KEY', 'PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY']

/** Looks at the frame of a private key only. Never quotes it. */
export function keyProblem(text: string, hasPassphrase: boolean): string | undefined {
  if (/^(ssh-|ecdsa-|sk-)/.test(text.trim())) return 'this is a public key; the private key is needed'
  if (text.startsWith('PuTTY-User-Key-File-')) return 'convert a PuTTY key first: puttygen key.ppk -O private-openssh'
  const [, label = '', content = '', end] = PEM.exec(text.trimStart()) ?? []
  if (!labels.includes(label) || end !== label) return 'not a private key in OpenSSH or PEM format'
  const legacy = /^Proc-Type: 4,ENCRYPTED\r?\n/.test(content)
  const body = (legacy ? content.replace(/^[\s\S]*?\r?\n\r?\n/, '') : content).replace(/\s+/g, '')
  if (!BASE64.test(body)) return 'the private key is damaged: its lines are not base64'
  const bytes = Buffer.from(body, 'base64')
  const encrypted = label === 'OPENSSH PRIVATE KEY' ? openSshEncrypted(bytes) : label.startsWith('ENCRYPTED') || legacy
  bytes.fill(0)
  if (encrypted === undefined) return 'the private key is damaged: its content is cut or not an OpenSSH key'
  if (encrypted && !hasPassphrase) return 'the private key is encrypted and needs its passphrase'
  if (!encrypted && hasPassphrase) return 'the private key is not encrypted, so it has no passphrase'
  return undefined
}

/** Reads `magic, string cipher, …` (OpenSSH PROTOCOL.key); undefined when that is not what it is. */
function openSshEncrypted(bytes: Buffer): boolean | undefined {
  if (!bytes.subarray(0, OPENSSH_MAGIC.length).equals(OPENSSH_MAGIC)) return undefined
  let at = OPENSSH_MAGIC.length
  const field = (): Buffer | undefined => {
    if (at + 4 > bytes.length) return undefined
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) return undefined
    const value = bytes.subarray(at + 4, end)
    at = end
    return value
  }
  const cipher = field()
  field()
  field()
  at += 4
  const publicKey = field()
  const privateKey = field()
  if (!cipher || !publicKey || !privateKey || privateKey.length < 16) return undefined
  return cipher.toString('latin1') !== 'none'
}
