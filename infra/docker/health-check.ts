// Ends with 0 when the URL given answers 200. Nothing else is needed in the image to ask for a role's health.
const [url] = process.argv.slice(2)
if (url === undefined) {
  console.error('usage: health-check <url>')
  process.exit(2)
}
try {
  const answer = await fetch(url, { signal: AbortSignal.timeout(3_000) })
  const body = await answer.text()
  if (answer.status === 200) process.exit(0)
  // The container engine keeps this and shows it beside the health.
  console.error(`${answer.status} ${body.slice(0, 1_000)}`)
} catch (error) {
  console.error(error instanceof Error ? `${error.message} ${String(error.cause ?? '')}` : error)
}
process.exit(1)
