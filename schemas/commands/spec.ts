import type { z } from 'zod'
import type { Permission } from '../permissions.ts'

export type Category =
  | ('target' | 'credential' | 'job' | 'run' | 'executor')
  | ('role' | 'group' | 'grant')
  | ('user' | 'service-account' | 'api-key' | 'session')
  | ('sod' | 'break-glass')

/** A command offered over HTTP: what the route, the API description and the permission check are generated from. */
export type CommandSpec = {
  /** What it is listed under, and what its permission is about. */
  category: Category
  /** Which kind of stream it is decided on. */
  decides:
    | Exclude<Category, 'service-account' | 'api-key' | 'sod' | 'break-glass'>
    | ('targetrun' | 'serviceaccount' | 'apikey')
    | ('sodrule' | 'sodviolation' | 'breakglass')
  idField: string
  /** Creates its resource: the id may be left out and is then minted. */
  creates: boolean
  permission: Permission
  summary: string
  schema: z.ZodType
  example: Record<string, unknown>
}

/** What can be permitted on things of a category. */
type PermissionOf<C extends Category> = Permission extends infer P
  ? P extends `${C}:${infer What}`
    ? What
    : never
  : never

export const exampleId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'

/** How the commands of a category are described: name, what must be permitted, in a line, an example. */
export const of =
  <C extends Category, M extends Record<string, z.ZodType>>(
    category: C,
    idField: string,
    schemas: M,
    // Where it is left out, the category is that of a stream too.
    decides = category as CommandSpec['decides'],
  ) =>
  (
    name: keyof M & string,
    permission: PermissionOf<C>,
    summary: string,
    example: Record<string, unknown>,
    creates = false,
  ): CommandSpec => {
    const schema = schemas[name]
    if (!schema) throw new Error(`no schema for ${name}`)
    // A template of two known parts that is in the closed list.
    const needed = `${category}:${permission}` as Permission
    return { category, decides, idField, creates, permission: needed, summary, schema, example }
  }
