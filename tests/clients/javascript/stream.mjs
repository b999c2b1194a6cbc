// Streams one completion with an official client and prints what came.
// Usage: node stream.mjs elasticsearch8|elasticsearch9 URL API_KEY whole|stream|helper
const [library, node, apiKey, way] = process.argv.slice(2)
const { Client } = await import(library)
const client = new Client({ node, auth: { apiKey } })
const request = {
  method: 'POST',
  path: '/_inference/completion/openai-completion/_stream',
  body: { input: 'What is Elastic?' }
}

async function print (stream) {
  for await (const piece of stream) process.stdout.write(piece)
}

if (way === 'whole') {
  process.stdout.write(await client.transport.request(request))
} else if (way === 'stream') {
  await print(await client.transport.request(request, { asStream: true }))
} else {
  await print(await client.inference.streamCompletion(
    { inference_id: 'openai-completion', input: 'What is Elastic?' }, { asStream: true }))
}
await client.close()
