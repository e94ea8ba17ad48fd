// Node's http.Agent with keep-alive, and fetch, against the service at argv[2]. Prints what each saw; exits with 1 if a
// request failed or connections were not used again.
import http from 'node:http'

const url = process.argv[2]
let isGood = true

function report(name, requests, connections, most, failed) {
  const seen = connections === undefined ? '' : `, ${connections} connections`
  console.log(`${name}: ${requests} requests${seen}, ${failed} failed`)
  if (failed > 0 || connections > most) isGood = false
}

function ask(agent, sockets, method, path, body) {
  return new Promise((resolve) => {
    const request = http.request(url + path, { agent, method, timeout: 10_000 }, (response) => {
      let content = ''
      response.setEncoding('utf8')
      response.on('data', (piece) => { content += piece })
      response.on('end', () => resolve({ status: response.statusCode, content }))
      response.on('error', (error) => resolve({ error }))
    })
    request.on('socket', (socket) => sockets.add(socket))
    request.on('error', (error) => resolve({ error }))
    request.end(body)
  })
}

async function withAgent() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  const sockets = new Set()
  const kinds = [
    ['GET', '/', undefined, 200], ['HEAD', '/livez', undefined, 200], ['GET', '/nowhere', undefined, 404],
    ['POST', '/', 'x'.repeat(5000), 405], ['GET', '/livez', undefined, 200],
  ]
  let failed = 0
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let number = 0; number < 250; number += 1) {
      const [method, path, body, status] = kinds[number % kinds.length]
      const answer = await ask(agent, sockets, method, path, body)
      if (answer.status !== status) failed += 1
    }
  }))
  agent.destroy()
  report('http.Agent', 2000, sockets.size, 8, failed)
}

async function withFetch() {
  let failed = 0
  for (let number = 0; number < 500; number += 1) {
    const response = await fetch(url + '/')
    const body = await response.json()
    if (response.status !== 200 || body.status !== true) failed += 1
  }
  // fetch does not say how many connections it opened; the script counts them at the service.
  report('fetch', 500, undefined, 0, failed)
}

await withAgent()
await withFetch()
process.exit(isGood ? 0 : 1)
