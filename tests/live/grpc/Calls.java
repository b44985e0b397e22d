// SPDX-License-Identifier: BSD-2-Clause
// Calls PORT: the calls of test_grpc.py, both ends of them, with grpc-java on netty.
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

public class Calls {
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
		return MethodDescriptor.newBuilder(PLAIN, PLAIN).setFullMethodName("t.S/" + name).setType(type).build();
	}

	static void say(String name, Throwable error, int sent, int received) {
		Status status = error == null ? Status.OK : Status.fromThrowable(error);
		String text = status.getDescription() == null ? "" : status.getDescription();

		System.out.println("[\"/t.S/" + name + "\", " + status.getCode().value() + ", \""
			+ text.replace("\\", "\\\\").replace("\"", "\\\"") + "\", " + sent + ", " + received + "]");
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

	static void both(ManagedChannel channel, int count, boolean cancel) throws InterruptedException {
		Answers answers = new Answers();
		ClientCallStreamObserver<byte[]> call = (ClientCallStreamObserver<byte[]>)ClientCalls.asyncBidiStreamingCall(
			channel.newCall(method("Both", MethodType.BIDI_STREAMING), CallOptions.DEFAULT), answers);

		answers.then = () -> {
			if (answers.count < count)
				call.onNext(new byte[1]);
			else if (cancel)
				call.cancel("enough", null);
			else
				call.onCompleted();
		};
		call.onNext(new byte[1]);
		answers.over.await();
		say("Both", answers.error, count, answers.count);
	}

	public static void main(String[] args) throws Exception {
		InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0]));
		ServerServiceDefinition service = ServerServiceDefinition.builder("t.S")
			.addMethod(method("Unary", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) -> {
				o.onNext(r);
				o.onCompleted();
			}))
			.addMethod(method("Fail", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) ->
				o.onError(Status.NOT_FOUND.withDescription("no such th\u00efng 100%").asException())))
			.addMethod(method("Slow", MethodType.UNARY), ServerCalls.asyncUnaryCall((byte[] r, StreamObserver<byte[]> o) -> {}))
			.addMethod(method("Server", MethodType.SERVER_STREAMING),
				ServerCalls.asyncServerStreamingCall((byte[] r, StreamObserver<byte[]> o) -> {
					for (int i = 0; i < 7; i++)
						o.onNext(new byte[i]);
					o.onCompleted();
				}))
			.addMethod(method("Client", MethodType.CLIENT_STREAMING), ServerCalls.asyncClientStreamingCall(
				(StreamObserver<byte[]> o) -> new Echo(o, false)))
			.addMethod(method("Both", MethodType.BIDI_STREAMING), ServerCalls.asyncBidiStreamingCall(
				(StreamObserver<byte[]> o) -> new Echo(o, true)))
			.build();
		Server server = NettyServerBuilder.forAddress(address).addService(service).build().start();
		ManagedChannel channel = NettyChannelBuilder.forAddress(address).usePlaintext().build();

		for (int size : new int[] {0, 1, 100, 300000})
			unary(channel, "Unary", size, CallOptions.DEFAULT);
		unary(channel, "Fail", 0, CallOptions.DEFAULT);
		unary(channel, "Missing", 0, CallOptions.DEFAULT);
		unary(channel, "Slow", 0, CallOptions.DEFAULT.withDeadlineAfter(300, TimeUnit.MILLISECONDS));
		int received = 0;
		for (var all = ClientCalls.blockingServerStreamingCall(channel,
				method("Server", MethodType.SERVER_STREAMING), CallOptions.DEFAULT, new byte[0]); all.hasNext(); received++)
			all.next();
		say("Server", null, 1, received);
		Answers answers = new Answers();
		StreamObserver<byte[]> call = ClientCalls.asyncClientStreamingCall(
			channel.newCall(method("Client", MethodType.CLIENT_STREAMING), CallOptions.DEFAULT), answers);
		for (int i = 0; i < 5; i++)
			call.onNext(new byte[i]);
		call.onCompleted();
		answers.over.await();
		say("Client", answers.error, 5, answers.count);
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
