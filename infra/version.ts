/** What this program is called by in events and answers; the same as in package.json. */
export const PROGRAM_VERSION = '0.1.0'
