import { parseOptions } from '../../options.ts'
import { serviceKind } from '../../service-kinds.ts'
import { mark } from '../../text.ts'
import { emitFact } from '../report.ts'
import type { Call } from '../walk-types.ts'

const stopping = /^(stop|disable|mask|kill|down|force-stop|exit|remove|unload|bootout|d|x|zap|freeze)$/
const power = /^(reboot|poweroff|halt|kexec|soft-reboot|suspend|hibernate|hybrid-sleep|rescue|emergency|exit)$/

function report(call: Call, names: string[]): boolean {
  emitFact(call, { effect: 'service-stop', targets: names, kinds: names.map(serviceKind) })
  return true
}

export function systemctl(call: Call): boolean {
  const { flags, words } = parseOptions(call.args, {
    short: 'HMtpnos',
    long: ['--host', '--machine', '--type', '--property', '--root', '--signal', '--kill-who', '--state', '--job-mode'],
  })
  const [action = '', ...units] = words
  if (
    power.test(action) ||
    (action === 'isolate' && /^(rescue|emergency|poweroff|reboot|halt|runlevel[016])/.test(units[0] ?? ''))
  ) {
    emitFact(call, {
      effect: 'power',
      targets: units,
      kinds: ['other'],
      force: flags.has('-f') || flags.has('--force'),
    })
    return true
  }
  return stopping.test(action) ? report(call, units.length > 0 ? units : [mark.unknown]) : false
}

export function service(call: Call): boolean {
  const words = parseOptions(call.args).words
  const [first = '', second = ''] = words
  if (stopping.test(second)) return report(call, [first])
  return stopping.test(first) && second !== '' ? report(call, words.slice(1)) : false
}

/** `/etc/init.d/ssh stop` has the service for its name. */
export function initScript(call: Call): boolean {
  const [action = ''] = call.args
  return (serviceKind(call.verb) === 'lifeline-service' || serviceKind(call.verb) === 'security-service') &&
    /^(stop|disable)$/.test(action)
    ? report(call, [call.verb])
    : false
}
