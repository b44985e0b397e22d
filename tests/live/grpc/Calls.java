// SPDX-License-Identifier: BSD-2-Clause
// Calls PORT: the calls of test_grpc.py, both ends of them, with grpc-java on netty.
// Calls PORT late: a call of each method that a line of standard input names; prints its status.
import io.grpc.CallOptions;
import io.grpc.HandlerRegistry;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

public class Calls {
	/* Of gRPC's tests for interoperability: special_status_message. */
	static final String SPECIAL =
		"\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \ud83d\ude08\t\n";

	static final MethodDescriptor.Marshaller<byte[]> PLAIN = new MethodDescriptor.Marshaller<>() {
		public InputStream stream(byte[] value) {
			return new ByteArrayInputStream(value);
		}

		public byte[] parse(InputStream stream) {
			try {
				return stream.readAllBytes();
			} catch (IOException e) {
				throw new UncheckedIOException(e);
			}
		}
	};

	static MethodDescriptor<byte[], byte[]> method(String name, MethodType type) {
		return MethodDescriptor.newBuilder(PLAIN, PLAIN).setFullMethodName(name).setType(type).build();
	}

	static void say(String name, Throwable error, int sent, int received) {
		Status status = error == null ? Status.OK : Status.fromThrowable(error);
		StringBuilder text = new StringBuilder();

		if (status.getDescription() != null)
			status.getDescription().chars().forEach(c -> text.append(String.format("\\u%04x", c)));
		System.out.println("[\"/" + name + "\", " + status.getCode().value() + ", \"" + text + "\", " + sent
			+ ", " + received + "]");
	}

	static void unary(ManagedChannel channel, String name, int size, CallOptions options) {
		try {
			ClientCalls.blockingUnaryCall(channel, method(name, MethodType.UNARY), options, new byte[size]);
			say(name, null, 1, 1);
		} catch (RuntimeException e) {
			say(name, e, 1, 0);
		}
	}

	/* Counts answers, and does something at each. */
	static class Answers implements StreamObserver<byte[]> {
		final CountDownLatch over = new CountDownLatch(1);
		Runnable then = () -> {};
		int count;
		Throwable error;

		public void onNext(byte[] value) {
			count++;
			then.run();
		}

		public void onError(Throwable e) {
			error = e;
			over.countDown();
		}

		public void onCompleted() {
			over.countDown();
		}
	}

	static void stream(ManagedChannel channel, String name) throws InterruptedException {
		Answers answers = new Answers();

		ClientCalls.asyncServerStreamingCall(channel.newCall(method(name, MethodType.SERVER_STREAMING),
			CallOptions.DEFAULT), new byte[0], answers);
		answers.over.await();
		say(name, answers.error, 1, answers.count);
	}

	static void both(ManagedChannel channel, int count, boolean cancel) throws InterruptedException {
		Answers answers = new Answers();
		ClientCallStreamObserver<byte[]> call = (ClientCallStreamObserver<byte[]>)ClientCalls.asyncBidiStreamingCall(
			channel.newCall(method("t.S/Both", MethodType.BIDI_STREAMING), CallOptions.DEFAULT), answers);

		answers.then = () -> {
			if (answers.count < count)
				call.onNext(new byte[1]);
			else if (cancel)
				call.cancel("enough", null);
			else
				call.onCompleted();
		};
		if (count == 0)
			call.onCompleted();
		else
			call.onNext(new byte[1]);
		answers.over.await();
		say("t.S/Both", answers.error, count, answers.count);
	}

	static void giveUp(ManagedChannel channel, String name) throws InterruptedException {
		Answers answers = new Answers();
		ClientCallStreamObserver<byte[]> call = (ClientCallStreamObserver<byte[]>)ClientCalls.asyncClientStreamingCall(
			channel.newCall(method(name, MethodType.CLIENT_STREAMING), CallOptions.DEFAULT), answers);

		Thread.sleep(100); // the head is out
		call.cancel("enough", null);
		answers.over.await();
		say(name, answers.error, 0, answers.count);
	}

	static void late(ManagedChannel channel) throws IOException {
		BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));

		for (String path; (path = lines.readLine()) != null;) {
			Status status = Status.OK;

			try {
				ClientCalls.blockingUnaryCall(channel, method(path.substring(1), MethodType.UNARY),
					CallOptions.DEFAULT, new byte[5]);
			} catch (RuntimeException e) {
				status = Status.fromThrowable(e);
			}
			System.out.println(status.getCode().value());
		}
	}

	public static void main(String[] args) throws Exception {
		InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0]));
		ServerServiceDefinition service = ServerServiceDefinition.builder("t.S")
			.addMethod(method("t.S/Unary", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) -> {
				o.onNext(r);
				o.onCompleted();
			}))
			.addMethod(method("t.S/Fail", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) ->
				o.onError(Status.NOT_FOUND.withDescription("no such th\u00efng 100%").asException())))
			.addMethod(method("t.S/Special", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) ->
				o.onError(Status.UNKNOWN.withDescription(SPECIAL).asException())))
			.addMethod(method("t.S/Slow", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) -> {}))
			.addMethod(method("t.S/Server", MethodType.SERVER_STREAMING),
				ServerCalls.asyncServerStreamingCall((byte[] r, StreamObserver<byte[]> o) -> {
					for (int i = 0; i < 7; i++)
						o.onNext(new byte[i]);
					o.onCompleted();
				}))
			.addMethod(method("t.S/Broken", MethodType.SERVER_STREAMING),
				ServerCalls.asyncServerStreamingCall((byte[] r, StreamObserver<byte[]> o) -> {
					for (int i = 0; i < 3; i++)
						o.onNext(new byte[i]);
					o.onError(Status.RESOURCE_EXHAUSTED.withDescription("no more").asException());
				}))
			.addMethod(method("t.S/Client", MethodType.CLIENT_STREAMING), ServerCalls.asyncClientStreamingCall(
				(StreamObserver<byte[]> o) -> new Echo(o, false)))
			.addMethod(method("t.S/Both", MethodType.BIDI_STREAMING), ServerCalls.asyncBidiStreamingCall(
				(StreamObserver<byte[]> o) -> new Echo(o, true)))
			.build();
		HandlerRegistry many = new HandlerRegistry() { // names, one method
			public ServerMethodDefinition<?, ?> lookupMethod(String name, String authority) {
				return service.getMethod(name.split("-")[0]);
			}
		};
		Server server = NettyServerBuilder.forAddress(address).fallbackHandlerRegistry(many).build().start();
		ManagedChannel channel = NettyChannelBuilder.forAddress(address).usePlaintext().build();

		if (args.length > 1) {
			late(channel);
			System.exit(0);
		}
		for (int size : new int[] {0, 1, 100, 300000})
			unary(channel, "t.S/Unary", size, CallOptions.DEFAULT);
		for (String name : new String[] {"t.S/Fail", "t.S/Special", "t.S/Missing", "t.Other/Unary"})
			unary(channel, name, 0, CallOptions.DEFAULT);
		unary(channel, "t.S/Slow", 0, CallOptions.DEFAULT.withDeadlineAfter(300, TimeUnit.MILLISECONDS));
		stream(channel, "t.S/Server");
		stream(channel, "t.S/Broken");
		Answers answers = new Answers();
		StreamObserver<byte[]> call = ClientCalls.asyncClientStreamingCall(
			channel.newCall(method("t.S/Client", MethodType.CLIENT_STREAMING), CallOptions.DEFAULT), answers);
		for (int i = 0; i < 5; i++)
			call.onNext(new byte[i]);
		call.onCompleted();
		answers.over.await();
		say("t.S/Client", answers.error, 5, answers.count);
		giveUp(channel, "t.S/Client");
		both(channel, 0, false);
		both(channel, 4, false);
		both(channel, 2, true);
		Thread.sleep(100);
		channel.shutdown().awaitTermination(1, TimeUnit.SECONDS);
		server.shutdownNow().awaitTermination(1, TimeUnit.SECONDS);
		System.exit(0);
	}

	static class Echo implements StreamObserver<byte[]> {
		final StreamObserver<byte[]> to;
		final boolean each;

		Echo(StreamObserver<byte[]> to, boolean each) {
			this.to = to;
			this.each = each;
		}

		public void onNext(byte[] value) {
			if (each)
				to.onNext(value);
		}

		public void onError(Throwable e) {}

		public void onCompleted() {
			if (!each)
				to.onNext(new byte[0]);
			to.onCompleted();
		}
	}
}
