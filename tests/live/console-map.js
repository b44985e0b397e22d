// SPDX-License-Identifier: BSD-2-Clause
// 30 applications in three namespaces, and 60 edges by a random generator that begins with SEED.
(() => {
  let seed = SEED; const rnd = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  const names = []; const spaces = ["shop", "billing", "infra/data"];
  for (let i = 0; i < 30; i++) names.push(spaces[i % 3] + "/" + ["checkout","catalog","cart","payment","ledger","users","search","stock","mailer","gateway"][i % 10] + "-" + i);
  const edges = [], seen = new Set();
  while (edges.length < 60) {
    let a = Math.floor(rnd() * 30), b = Math.floor(rnd() * 30);
    if (rnd() < 0.93 && a > b) [a, b] = [b, a];
    if (a === b && rnd() < .9) continue;
    if (seen.has(a + "," + b)) continue; seen.add(a + "," + b);
    const requests = Math.floor(10 ** (1 + rnd() * 4)), errors = rnd() < .3 ? Math.floor(requests * rnd() * .2) : 0;
    edges.push({ client: names[a], client_watched: true, server: names[b], server_watched: true, protocol: "http1", requests, errors, p50_ns: 1e6, p95_ns: 10 ** (5 + rnd() * 4), p99_ns: 1e8 });
  }
  const applications = names.map((name) => ({ name, role: "server", requests: Math.floor(rnd() * 10000), errors: Math.floor(rnd() * 50), p95_ns: 10 ** (5 + rnd() * 4), active: 1 }));
  const data = { applications, edges, length_ms: 60000, dropped: 0 };
  mapPage.load = async function () { this.data = data; this.show(); };
  mapPage.zoom = null; mapPage.load();
  
})()
