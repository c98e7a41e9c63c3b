/** One word for a POSIX shell: what is between single quotes is taken as it is. Refuses NUL, which no argument can hold. */
export function shellQuote(text: string): string {
  if (text.includes('\0')) throw new RangeError('an argument cannot hold a NUL character')
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
