const kept = /@'[\s\S]*?\n'@|@"[\s\S]*?\n"@|'(?:[^']|'')*'|"(?:[^"`]|`[\s\S]|"")*"|<#[\s\S]*?#>|(?<=^|\s)#[^\n]*/
const variablePath = /(?<=[\s,:])(?:\$(?:\w+:)?\w+|\$\{[^}\n]+\}|\$\(\$?[\w.:]+\))[\\/][^\s;|&(){},"']*/
const bareItem =
  /(?<=[\s,])[A-Za-z_.*~][^\s,;|&(){}[\]"'$@=]*(?=\s*,)|(?<=,[ \t]{0,8})[A-Za-z_.*~][^\s,;|&(){}[\]"'$@=]*(?=[\s,;|)}]|$)/
const parameters = /\bparam\s*\([^()]*\)[ \t]+(?=\S)/
const clause = /\}\s+(?=(?:default|\d+|'[^']*'|"[^"]*")\s*\{)/
const parts = new RegExp(
  [kept, variablePath, bareItem, parameters, clause].map(({ source }) => `(${source})`).join('|'),
  'gi',
)

/**
 * Spells out what the grammar does not know: paths that begin with a variable and lists of bare words are quoted,
 * `param(…)` and clauses of `switch` get lines of their own. Strings and comments stay as they are.
 */
export function tidySource(source: string): string {
  return source.replace(parts, (whole, strings?: string, path?: string, item?: string) => {
    if (strings !== undefined && /^(#|<#)/.test(strings)) return ' '
    if (strings !== undefined) return whole
    if (path !== undefined) return `"${whole}"`
    if (item !== undefined) return `'${whole}'`
    return `${whole.trimEnd()}\n`
  })
}
