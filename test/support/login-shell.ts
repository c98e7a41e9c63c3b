import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import { hasLoginShell, programOf } from './packages.ts'

/**
 * What makes a program believe that this user has a shell and no lock: nothing when it is so, else a user database
 * of the user alone, by nss_wrapper.
 */
export function loginShellEnv(folder: string): Record<string, string> {
  const wrapper = programOf('libnss-wrapper')
  if (hasLoginShell() || !wrapper) return {}
  const { username, uid, gid, homedir } = userInfo()
  const file = (name: string, line: string) => {
    writeFileSync(path.join(folder, name), `${line}\n`)
    return path.join(folder, name)
  }
  return {
    LD_PRELOAD: wrapper,
    NSS_WRAPPER_PASSWD: file('passwd', `${username}:x:${uid}:${gid}::${process.env.HOME ?? homedir}:/bin/bash`),
    NSS_WRAPPER_GROUP: file('group', `${username}:x:${gid}:`),
    NSS_WRAPPER_SHADOW: file('shadow', `${username}:x:20000:0:99999:7:::`),
  }
}
