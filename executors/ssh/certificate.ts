import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import ssh2, { type Client, type ParsedKey } from 'ssh2'
import type { UsableSecret } from '../../schemas/credential.ts'
import { SshFailure } from './failure.ts'

type SshLogin = Extract<UsableSecret, { kind: 'ssh-certificate' }>

const PLAIN = 'ssh-ed25519'
const TYPE = 'ssh-ed25519-cert-v01@openssh.com'

/**
 * A key whose public half is a certificate. ssh2 knows none of its own: it takes its methods from a key of the plain
 * type, and offers what these say.
 */
export function certificateKey({ privateKey, certificate }: SshLogin): ParsedKey {
  const key = createPrivateKey(privateKey)
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' })
  const blob = Buffer.concat([sshString(PLAIN), sshString(Buffer.from(x, 'base64url'))])
  const plain = ssh2.utils.parseKey(`${PLAIN} ${blob.toString('base64')}`)
  if (plain instanceof Error) throw new SshFailure('internal', 'the key that was made for the login cannot be read')
  const offered: Pick<ParsedKey, 'sign' | 'isPrivateKey' | 'getPublicSSH'> & { type: string } = {
    type: TYPE,
    isPrivateKey: () => true,
    getPublicSSH: () => Buffer.from(certificate, 'base64'),
    sign: data => sign(null, Buffer.from(data), key),
  }
  return Object.assign(Object.create(plain), offered)
}

type Write = { allocStart: number; alloc(bytes: number): Buffer; finalize(packet: Buffer): unknown }
type Protocol = {
  _packetRW: { write: Write }
  authPK(username: string, key: { type: string }, ...rest: unknown[]): void
}

/**
 * With a certificate the request names the certificate's type and the signature in it the plain one (OpenSSH
 * PROTOCOL.certkeys, section "New public key formats"); ssh2 writes the same into both, and has no place to say
 * otherwise. So the packet is put right on its way out, by the two fields of its protocol object that are named here;
 * the login over a real server's TrustedUserCAKeys is a spec, and fails when a version of ssh2 has others.
 */
export function speakCertificates(client: Client): void {
  const protocol = (client as Client & { _protocol?: Protocol })._protocol
  if (!protocol) throw new SshFailure('internal', 'this version of ssh2 is not known to speak of certificates')
  const { authPK } = protocol
  protocol.authPK = (username, key, ...rest) => {
    const real = protocol._packetRW
    if (key.type === TYPE) protocol._packetRW = { ...real, write: mending(real.write) }
    try {
      authPK.call(protocol, username, key, ...rest)
    } finally {
      protocol._packetRW = real
    }
  }
}

/** Takes the packet as it is made and gives on what it should have been. */
function mending(real: Write): Write {
  return {
    allocStart: 0,
    alloc: bytes => Buffer.alloc(bytes),
    finalize: packet => {
      const right = withPlainSignature(packet)
      const out = real.alloc(right.length)
      out.set(right, real.allocStart)
      return real.finalize(out)
    },
  }
}

/** SSH_MSG_USERAUTH_REQUEST of the method `publickey` (RFC 4252 section 7). */
function withPlainSignature(packet: Buffer): Buffer {
  let at = 1
  const next = () => {
    const length = packet.readUInt32BE(at)
    at += 4 + length
    return packet.subarray(at - length, at)
  }
  for (let i = 0; i < 3; i += 1) next()
  const signed = packet[at] === 1
  at += 1
  for (let i = 0; i < 2; i += 1) next()
  if (!signed) return packet
  const head = packet.subarray(0, at)
  at += 4
  next()
  return Buffer.concat([head, sshString(Buffer.concat([sshString(PLAIN), sshString(next())]))])
}

function sshString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
