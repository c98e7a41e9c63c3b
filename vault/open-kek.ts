import { existsSync } from 'node:fs'
import { type Config, ConfigError, type Secret } from '../infra/config.ts'
import { egressPolicy } from '../infra/egress.ts'
import { createKekFile, parseKeks } from '../infra/kek-file.ts'
import type { Log } from '../infra/log.ts'
import { environmentKekProvider } from './kek/environment.ts'
import { fileKekProvider } from './kek/file.ts'
import { kmsKekProvider, kmsKeyArn } from './kek/kms.ts'
import { transitKekProvider } from './kek/transit.ts'
import type { KekProvider } from './kek.ts'
import { KekRefused } from './own-keys.ts'

export type KekConfig = Pick<Config, 'kek' | 'kekFile' | 'dataDir' | 'aws' | 'hashicorpVault' | 'vaultEgressAllow'>

/**
 * The keys where the configuration says that they are. At the very first start, while nothing is sealed, a missing key
 * file is made; later it is lost, and a new one would open nothing. Throws KekRefused, KekFileError, KekUnavailable,
 * ConfigError.
 */
export async function openKek(
  config: KekConfig,
  state: { secretsExist: boolean; now: string },
  log: Log,
): Promise<KekProvider> {
  switch (config.kek.provider) {
    case 'file':
      return openFile(config, state, log)
    case 'environment': {
      const keys = given(config.kek.keys, 'OPSCONDUCTOR_KEK_KEYS')
      return environmentKekProvider(parseKeks(keys.reveal(), 'OPSCONDUCTOR_KEK_KEYS'))
    }
    case 'vault-transit': {
      const { url, token, namespace } = config.hashicorpVault
      return await transitKekProvider({
        ...{ token, namespace, key: config.kek.transitKey, egress: egressPolicy(config.vaultEgressAllow) },
        url: given(url, 'OPSCONDUCTOR_HASHICORP_VAULT_URL'),
      })
    }
    case 'aws-kms':
      return openKms(config)
  }
}

function openFile({ kekFile: path, dataDir }: KekConfig, state: { secretsExist: boolean; now: string }, log: Log) {
  if (!existsSync(path)) {
    if (state.secretsExist) {
      throw new KekRefused(
        `there are sealed secrets, but no key-encryption key file at ${path}: restore it from its backup`,
      )
    }
    make(path, dataDir, state.now, log)
  }
  return fileKekProvider(path, { dataDir })
}

function make(path: string, dataDir: string, now: string, log: Log): void {
  try {
    const kekId = createKekFile(path, { dataDir, now })
    log.warn({ path, kekId }, 'made a new key-encryption key: back it up, and apart from the data it protects')
  } catch (err) {
    // Another vault that starts at the same moment made it.
    if (!existsSync(path)) throw err
  }
}

function openKms({ kek, aws, vaultEgressAllow }: KekConfig): KekProvider {
  const { kmsKeys: keys, kmsEndpoint: endpoint } = kek
  if (keys.length === 0 || !keys.every(key => kmsKeyArn.test(key)))
    throw new ConfigError('OPSCONDUCTOR_KEK_KMS_KEYS: a list of key ARNs (arn:aws:kms:<region>:<account>:key/<id>)')
  return kmsKekProvider({
    ...{ keys, endpoint, egress: egressPolicy(vaultEgressAllow), sessionToken: aws.sessionToken },
    accessKeyId: given(aws.accessKeyId, 'OPSCONDUCTOR_AWS_ACCESS_KEY_ID'),
    secretAccessKey: given(aws.secretAccessKey, 'OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY'),
  })
}

function given<T extends string | Secret>(setting: T | undefined, name: string): T {
  if (setting === undefined) throw new ConfigError(`${name} is needed for OPSCONDUCTOR_KEK_PROVIDER as it is set`)
  return setting
}
