// SPDX-License-Identifier: BSD-2-Clause
// JdkTls PORT KEYSTORE COUNT: JSSE at both ends, HttpsServer and HttpClient. It asks itself so often, one
// request after the other, and says each answer's length.
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class JdkTls {
	public static void main(String[] args) throws Exception {
		char[] password = "secret".toCharArray();
		KeyStore store = KeyStore.getInstance("PKCS12");
		try (var in = new FileInputStream(args[1])) {
			store.load(in, password);
		}
		var trusted = KeyStore.getInstance("PKCS12");
		trusted.load(null, null);
		trusted.setCertificateEntry("own", store.getCertificate(store.aliases().nextElement()));
		var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
		keys.init(store, password);
		var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		trust.init(trusted);
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);

		int port = Integer.parseInt(args[0]);
		HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", port), 0);
		server.setHttpsConfigurator(new HttpsConfigurator(context));
		server.createContext("/", exchange -> {
			exchange.sendResponseHeaders(200, 5);
			exchange.getResponseBody().write("hello".getBytes());
			exchange.close();
		});
		server.start();
		HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
				.sslContext(context).build();
		for (int i = 0; i < Integer.parseInt(args[2]); i++) {
			var request = HttpRequest.newBuilder(URI.create("https://localhost:" + port + "/" + i)).build();
			System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body().length());
		}
		server.stop(0);
		System.exit(0);
	}
}
