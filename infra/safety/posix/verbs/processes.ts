import { has, parseOptions } from '../../options.ts'
import { serviceKind } from '../../service-kinds.ts'
import { hasPattern, isOpen } from '../../text.ts'
import { emitFact } from '../report.ts'
import type { Call } from '../walk-types.ts'

export function kill(call: Call): boolean {
  const [first = '', second = ''] = call.args
  if (/^-(0|l|L|-list|-table|V)$/.test(first) || (first === '-s' && second === '0')) return true
  const named = /^-[A-Z]\w*$|^-\d+$|^-SIG/i.test(first) && call.args.length > 1
  const signal = first === '-s' || first === '-n' || first === '--signal' ? 2 : named ? 1 : 0
  const targets = call.args.slice(signal).filter(arg => arg !== '--')
  const effect = targets.some(target => target === '-1' || target === '1' || target === '0') ? 'kill-all' : 'kill'
  emitFact(call, {
    effect,
    targets,
    kinds: ['other'],
    force: /^-(9|s?i?g?kill)$/i.test(first) || /kill|^9$/i.test(signal === 2 ? second : ''),
  })
  return true
}

/** Patterns that match more or less everything. */
const broad = /^[\^$]*(\.?[*+]?|\.\*.*|\[.*\][*+]?|\w)[\^$]*$/

export function pkill(call: Call): boolean {
  const byName = call.verb === 'killall'
  const { flags, values, words } = parseOptions(call.args, {
    short: byName ? 'suonyZ' : 'sugGPtUFdn'.replace('n', ''),
    long: ['--signal', '--user', '--euid', '--uid', '--group', '--parent', '--terminal', '--pidfile', '--ns'],
  })
  if (has(flags, '-l', '--list', '-V') || flags.has('-0') || values.get('-s')?.includes('0')) return true
  const signalOnly = words.filter(word => word !== '')
  const whole = signalOnly.length === 0 && !values.has('-F') && !values.has('--pidfile') && !values.has('-P')
  const inverted = has(flags, '-v', '--inverse') && !byName
  const wide = !byName && signalOnly.some(word => broad.test(word) || hasPattern(word) || isOpen(word))
  const kinds = signalOnly.map(word =>
    /^(systemd|init|dbus-daemon)$/.test(word) ? 'lifeline-service' : serviceKind(word),
  )
  emitFact(call, {
    effect: whole || inverted || wide ? 'kill-all' : 'kill',
    targets: words,
    kinds,
    force: flags.has('-9') || flags.has('-KILL'),
  })
  return true
}
