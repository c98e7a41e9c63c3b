import { containerNatsConfig } from './nats-config.ts'
import { makeSecrets } from './secrets.ts'

const [what, folder] = process.argv.slice(2)
if (what === 'secrets' && folder !== undefined) {
  for (const name of makeSecrets({ folder })) console.error(`made ${folder}/${name}`)
} else if (what === 'nats-config') {
  process.stdout.write(containerNatsConfig())
} else {
  console.error('usage: prepare secrets <new folder> | prepare nats-config > infra/docker/nats.conf')
  process.exitCode = 2
}
