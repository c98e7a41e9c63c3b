import ssh2 from 'ssh2'

/**
 * A new Ed25519 key pair in OpenSSH format. The library makes about one in two hundred that neither it nor OpenSSH can
 * read; such a one is thrown away.
 */
export function newKeyPair(): { private: string; public: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519')
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair
  }
}
