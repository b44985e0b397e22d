// SPDX-License-Identifier: BSD-2-Clause
// calls.js MODULES PORT: the calls of test_grpc.py, both ends of them, with grpc-js.
// calls.js MODULES PORT late: a call of each method that a line of standard input names; prints its
// status.
'use strict';
const [modules, port, late] = process.argv.slice(2);
const readline = require('readline');
const grpc = require(`${modules}/@grpc/grpc-js`);

// Of gRPC's tests for interoperability: special_status_message.
const special = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';

const same = (bytes) => bytes;
const method = (name, requestStream, responseStream) => [name, {
	path: '/t.S/' + name, requestStream, responseStream, requestSerialize: same,
	requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
}];
const service = Object.fromEntries([
	method('Unary', false, false), method('Fail', false, false), method('Slow', false, false),
	method('Special', false, false), method('Server', false, true), method('Broken', false, true),
	method('Client', true, false), method('Both', true, true),
]);

const answers = {
	Unary: (call, done) => done(null, call.request),
	Fail: (call, done) => done({ code: grpc.status.NOT_FOUND, details: 'no such th\u00efng 100%' }),
	Special: (call, done) => done({ code: grpc.status.UNKNOWN, details: special }),
	Slow: () => {},
	Server: (call) => {
		for (let i = 0; i < 7; i++)
			call.write(Buffer.from(String(i)));
		call.end();
	},
	Broken: (call) => {
		for (let i = 0; i < 3; i++)
			call.write(Buffer.from(String(i)));
		call.emit('error', { code: grpc.status.RESOURCE_EXHAUSTED, details: 'no more' });
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
};
const server = new grpc.Server();
server.addService(service, answers);

function say(path, error, sent, received) {
	console.log(JSON.stringify([path, error ? error.code : 0, error && error.code ? error.details : '', sent, received]));
}

server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), async (error, bound) => {
	if (error)
		throw error;
	const Client = grpc.makeGenericClientConstructor(service, 't.S');
	const client = new Client(`127.0.0.1:${bound}`, grpc.credentials.createInsecure());
	const invoke = (path, size, options) => new Promise((done) => {
		client.makeUnaryRequest(path, same, same, Buffer.alloc(size), options || {}, done);
	});
	const unary = async (path, size, options) => {
		const error = await invoke(path, size, options);

		say(path, error, 1, error ? 0 : 1);
	};
	const stream = (name) => new Promise((done) => {
		let n = 0;
		const call = client[name](Buffer.alloc(0));

		call.on('data', () => n++);
		call.on('error', () => {});
		call.on('status', (status) => { say('/t.S/' + name, status, 1, n); done(); });
	});

	if (late) {
		for await (const path of readline.createInterface({ input: process.stdin })) {
			// Many names, one method.
			server.register(path, answers[path.split(/[/-]/)[2]], same, same, 'unary');
			const error = await invoke(path, 5);

			console.log(error ? error.code : 0);
		}
		process.exit();
	}

	for (const size of [0, 1, 100, 300000])
		await unary('/t.S/Unary', size);
	for (const path of ['/t.S/Fail', '/t.S/Special', '/t.S/Missing', '/t.Other/Unary'])
		await unary(path, 0);
	await unary('/t.S/Slow', 0, { deadline: Date.now() + 300 });
	await stream('Server');
	await stream('Broken');
	await new Promise((done) => {
		const call = client.Client((error) => { say('/t.S/Client', error, 5, 1); done(); });

		for (let i = 0; i < 5; i++)
			call.write(Buffer.from([i]));
		call.end();
	});
	await new Promise((done) => {
		const call = client.Client((error) => { say('/t.S/Client', error, 0, 0); done(); });

		setTimeout(() => call.cancel(), 100); // the head is out
	});
	await new Promise((done) => {
		let n = 0;
		const call = client.Both();

		call.on('data', () => n++);
		call.on('status', (status) => { say('/t.S/Both', status, 0, n); done(); });
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
