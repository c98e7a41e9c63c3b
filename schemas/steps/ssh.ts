import { z } from 'zod'
import { template } from '../expression.ts'
import { commandText } from './base.ts'

/** By `sudo`: with the login's password on standard input where the credential is a password, else without one. */
const become = z.strictObject({
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}\$?$/, 'a user name')
    .default('root'),
})

/** A command line for /bin/sh. A value in it is one word, whatever it holds. */
export const sshCommand = {
  uses: z.literal('ssh.command'),
  with: z.strictObject({ command: commandText, stdin: template(65_536).optional(), become: become.optional() }),
}

/** A script for any interpreter. Values reach it as arguments only. */
export const sshScript = {
  uses: z.literal('ssh.script'),
  with: z.strictObject({
    script: z
      .string()
      .min(1)
      .max(262_144)
      .refine(s => !s.includes('\0'), 'no NUL character'),
    interpreter: z
      .string()
      .max(200)
      .regex(/^\/[A-Za-z0-9._/-]+$/, 'an absolute path')
      .default('/bin/sh'),
    arguments: z.array(template(4096)).max(100).default([]),
    become: become.optional(),
  }),
}
