/** An expression that cannot be read, has no value, or has one that does not fit where it stands. */
export class TemplateError extends Error {
  override name = 'TemplateError'
  readonly class = 'invalid-template'
  readonly detail: string
  constructor(detail: string) {
    super(detail.slice(0, 500))
    this.detail = this.message
  }
}

/** As the author wrote it, for messages. */
export const placeholder = (source: string) => ['${{', source, '}}'].join(' ')
