// SPDX-License-Identifier: BSD-2-Clause
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Orders DIR: the shop's orders. Writes its port to DIR/orders.port. Where DIR/broken-orders exists,
 * every other order fails.
 */
public class Orders {
	public static void main(String[] args) throws Exception {
		Path dir = Path.of(args[0]), fault = dir.resolve("broken-orders");
		AtomicLong count = new AtomicLong();
		HttpServer server =
			HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 64);
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.createContext("/orders", exchange -> {
			exchange.getRequestBody().readAllBytes();
			long order = count.incrementAndGet();
			boolean fails = Files.exists(fault) && order % 2 == 0;
			byte[] body = (fails ? "out of paper\n" : "order " + order + "\n").getBytes();
			exchange.sendResponseHeaders(fails ? 500 : 201, body.length);
			try (var out = exchange.getResponseBody()) {
				out.write(body);
			}
		});
		server.start();
		Path written = dir.resolve("orders.port.new");
		Files.writeString(written, server.getAddress().getPort() + "\n");
		Files.move(written, dir.resolve("orders.port"), StandardCopyOption.ATOMIC_MOVE);
	}
}
