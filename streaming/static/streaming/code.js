// The same question as code that can be pasted; `YOUR_API_KEY` stands for the key.
const KEY = "YOUR_API_KEY";

export function codes(address, inferenceId, body) {
  const path = `/_inference/completion/${inferenceId}/_stream`;
  return [
    { name: "curl", text: curl(address + path, body) },
    { name: "elasticsearch-py", text: python(address, path, body) },
    { name: "JavaScript", text: javascript(address, path, body) },
  ];
}

function curl(url, body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -N -H 'Authorization: ApiKey ${KEY}' -H 'Content-Type: application/json' \\
  -d '${quoted}' \\
  ${url}`;
}

function python(address, path, body) {
  return `from elasticsearch import Elasticsearch

client = Elasticsearch(${JSON.stringify(address)}, api_key="${KEY}")
events = client.perform_request(
    "POST",
    ${JSON.stringify(path)},
    headers={"Content-Type": "application/json", "Accept": "text/event-stream"},
    body=${pythonic(body)},
)
print(events.body)`;
}

function javascript(address, path, body) {
  return `import { Client } from "@elastic/elasticsearch";

const client = new Client({ node: ${JSON.stringify(address)}, auth: { apiKey: "${KEY}" } });
const stream = await client.transport.request(
  { method: "POST", path: ${JSON.stringify(path)}, body: ${JSON.stringify(body)} },
  { asStream: true },
);
for await (const events of stream) process.stdout.write(events);`;
}

// JSON as Python writes it; its strings are Python's too.
function pythonic(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonic).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonic(one)}`).join(", ")}}`;
}
