/* SPDX-License-Identifier: BSD-2-Clause */
/* Client HOST PORT PLAN LOG: the plan on java.net.http. See ../README.md. */
import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

public class Client {
	static BodyPublisher body(String framing, int length) {
		byte[] b = new byte[length];
		switch (framing) {
		case "length": return BodyPublishers.ofByteArray(b);
		case "chunked": return BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(b));
		default: return BodyPublishers.noBody();
		}
	}

	public static void main(String[] args) throws Exception {
		String host = args[0].contains(":") ? "[" + args[0] + "]" : args[0];
		HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		try (PrintWriter log = new PrintWriter(args[3])) {
			for (String line : Files.readAllLines(Path.of(args[2]))) {
				String[] p = line.split(" ");
				HttpRequest req = HttpRequest.newBuilder(
						URI.create("http://" + host + ":" + args[1] + p[1]))
					.method(p[0], body(p[3], Integer.parseInt(p[2]))).build();
				long start = System.nanoTime(); /* CLOCK_MONOTONIC on Linux */
				HttpResponse<byte[]> res = client.send(req, BodyHandlers.ofByteArray());
				long end = System.nanoTime();
				log.printf("{\"method\":\"%s\",\"target\":\"%s\",\"status\":%d,"
					+ "\"body\":%d,\"start\":%d,\"end\":%d}\n", p[0], p[1],
					res.statusCode(), res.body().length, start, end);
			}
		}
	}
}
