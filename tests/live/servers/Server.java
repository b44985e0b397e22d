/* SPDX-License-Identifier: BSD-2-Clause */
/* Server HOST PORT LOG: the contract of ../README.md on com.sun.net.httpserver. */
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.FileWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Executors;

public class Server {
	static final byte[] PATTERN = bytes("HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	static FileWriter log;

	static byte[] bytes(String s) {
		return s.getBytes(StandardCharsets.ISO_8859_1);
	}

	static byte[] pattern(int n) {
		byte[] b = new byte[n];
		for (int i = 0; i < n; i++)
			b[i] = PATTERN[i % PATTERN.length];
		return b;
	}

	static int finish(HttpExchange x, int status, byte[] body) throws IOException {
		boolean head = x.getRequestMethod().equals("HEAD");
		if (head || status == 204 || status == 304) {
			if (head)
				x.getResponseHeaders().set("Content-Length", "" + body.length);
			x.sendResponseHeaders(status, -1);
			return 0;
		}
		/* 0 would mean chunked, -1 means an empty body here. */
		x.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
		x.getResponseBody().write(body);
		return body.length;
	}

	static int chunked(HttpExchange x, int n) throws IOException {
		boolean head = x.getRequestMethod().equals("HEAD");
		x.sendResponseHeaders(200, head ? -1 : 0);
		if (head)
			return 0;
		byte[] body = pattern(n);
		int step = n / 4 + 1;
		OutputStream out = x.getResponseBody();
		for (int i = 0; i < n; i += step) {
			out.write(Arrays.copyOfRange(body, i, Math.min(i + step, n)));
			out.flush();
		}
		return n;
	}

	static void answer(HttpExchange x) throws IOException {
		byte[] in = x.getRequestBody().readAllBytes();
		String[] part = x.getRequestURI().getPath().substring(1).split("/");
		int n = part.length > 1 ? Integer.parseInt(part[1]) : 0;
		int status = 200, sent = 0;
		switch (part[0]) {
		case "hello": sent = finish(x, 200, bytes("hello\n")); break;
		case "bytes": sent = finish(x, 200, pattern(n)); break;
		case "chunked": sent = chunked(x, n); break;
		case "echo": sent = finish(x, 200, bytes("" + in.length)); break;
		case "status":
			status = n;
			sent = finish(x, n, bytes("status\n"));
			break;
		case "slow":
			try {
				Thread.sleep(n);
			} catch (InterruptedException e) {
				throw new IOException(e);
			}
			sent = finish(x, 200, bytes("slow\n"));
			break;
		default:
			status = 404;
			sent = finish(x, 404, bytes("no\n"));
		}
		x.close();
		/* "PID/task/TID" */
		String[] self = Files.readSymbolicLink(Path.of("/proc/thread-self")).toString().split("/");
		synchronized (log) {
			log.write(String.format("{\"method\":\"%s\",\"target\":\"%s\",\"status\":%d,"
				+ "\"sent\":%d,\"read\":%d,\"port\":%d,\"pid\":%s,\"tid\":%s}\n",
				x.getRequestMethod(), x.getRequestURI(), status, sent, in.length,
				x.getRemoteAddress().getPort(), self[0], self[2]));
			log.flush();
		}
	}

	public static void main(String[] args) throws IOException {
		log = new FileWriter(args[2], true);
		HttpServer s = HttpServer.create(new InetSocketAddress(args[0], Integer.parseInt(args[1])), 128);
		s.setExecutor(Executors.newCachedThreadPool());
		s.createContext("/", Server::answer);
		s.start();
	}
}
