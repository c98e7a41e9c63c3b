import { push } from './native.ts'
import { emitWindows, type WindowsCall } from './report.ts'

/** Programs that are the same on every system: their words are judged as in a POSIX shell. */
const portable =
  /^(git|docker|podman|kubectl|oc|helm|terraform|tofu|pulumi|aws|az|gcloud|gsutil|psql|mysql|mariadb|sqlcmd|sqlite3|mongo|mongosh|redis-cli|ssh|python[\d.]*|py|node|perl|ruby|php|rclone|vagrant|nc|ncat|openssl|curl|dropdb|mysqladmin|ansible|virsh|gh|rm|dd|find|chmod|rsync)$/

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** What neither cmd nor PowerShell nor Windows explains. */
export function delegate(call: WindowsCall): void {
  if (portable.test(call.verb))
    push(
      { ...call, scope: { ...call.scope, via: call.scope.via } },
      'posix',
      [call.verb === 'py' ? 'python' : call.verb, ...call.args.map(quoted)].join(' '),
    )
  else emitWindows(call, {})
}
