// SPDX-License-Identifier: BSD-2-Clause
// calls.js MODULES PORT: the calls of test_grpc.py, both ends of them, with grpc-js.
'use strict';
const [modules, port] = process.argv.slice(2);
const grpc = require(`${modules}/@grpc/grpc-js`);

const same = (bytes) => bytes;
const method = (name, requestStream, responseStream) => [name, {
	path: '/t.S/' + name, requestStream, responseStream, requestSerialize: same,
	requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
}];
const service = Object.fromEntries([
	method('Unary', false, false), method('Fail', false, false), method('Slow', false, false),
	method('Server', false, true), method('Client', true, false), method('Both', true, true),
]);
const client_service = { ...service, ...Object.fromEntries([method('Missing', false, false)]) };

const server = new grpc.Server();
server.addService(service, {
	Unary: (call, done) => done(null, call.request),
	Fail: (call, done) => done({ code: grpc.status.NOT_FOUND, details: 'no such th\u00efng 100%' }),
	Slow: () => {},
	Server: (call) => {
		for (let i = 0; i < 7; i++)
			call.write(Buffer.from(String(i)));
		call.end();
	},
	Client: (call, done) => {
		let n = 0;

		call.on('data', () => n++);
		call.on('end', () => done(null, Buffer.from(String(n))));
	},
	Both: (call) => {
		call.on('data', (data) => call.write(data));
		call.on('end', () => call.end());
		call.on('error', () => {});
	},
});

function say(path, error, sent, received) {
	console.log(JSON.stringify([path, error ? error.code : 0, error ? error.details : '', sent, received]));
}

server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), async (error, bound) => {
	if (error)
		throw error;
	const Client = grpc.makeGenericClientConstructor(client_service, 't.S');
	const client = new Client(`127.0.0.1:${bound}`, grpc.credentials.createInsecure());
	const unary = (name, size, options) => new Promise((done) => {
		client[name](Buffer.alloc(size), options || {}, (error) => {
			say('/t.S/' + name, error, 1, error ? 0 : 1);
			done();
		});
	});

	for (const size of [0, 1, 100, 300000])
		await unary('Unary', size);
	await unary('Fail', 0);
	await unary('Missing', 0);
	await unary('Slow', 0, { deadline: Date.now() + 300 });
	await new Promise((done) => {
		let n = 0;
		const call = client.Server(Buffer.alloc(0));

		call.on('data', () => n++);
		call.on('end', () => { say('/t.S/Server', null, 1, n); done(); });
	});
	await new Promise((done) => {
		const call = client.Client((error) => { say('/t.S/Client', error, 5, 1); done(); });

		for (let i = 0; i < 5; i++)
			call.write(Buffer.from([i]));
		call.end();
	});
	for (const [count, cancel] of [[4, false], [2, true]]) {
		await new Promise((done) => {
			let n = 0, over = (error) => { say('/t.S/Both', error, count, n); over = () => {}; done(); };
			const call = client.Both();

			call.on('data', () => {
				if (++n < count)
					call.write(Buffer.from([n]));
				else if (cancel)
					call.cancel();
				else
					call.end();
			});
			call.on('error', (error) => over(error));
			call.on('end', () => setTimeout(() => over(null), 50));
			call.write(Buffer.from([0]));
		});
	}
	await new Promise((done) => setTimeout(done, 100));
	client.close();
	server.tryShutdown(() => {});
});
