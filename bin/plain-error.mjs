/** An error whose message is meant for the person at the terminal: no stack is shown. */
export class PlainError extends Error {
  name = 'PlainError'
  plain = true
}
