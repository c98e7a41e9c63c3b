import pg from 'pg'

const TIMESTAMPTZ = pg.types.builtins.TIMESTAMPTZ
/** The text parser of timestamptz gives a Date, or a number for the infinities. */
const parseTimestamp: (text: string) => Date | number = pg.types.getTypeParser(TIMESTAMPTZ, 'text')

/** Timestamps come as ISO 8601 UTC strings; bigint and numeric as strings, because a number would lose digits. */
export const types: pg.CustomTypesConfig = {
  getTypeParser(oid, format) {
    if (oid === TIMESTAMPTZ && format !== 'binary')
      return (text: string) => new Date(parseTimestamp(text)).toISOString()
    return pg.types.getTypeParser(oid, format)
  },
}
