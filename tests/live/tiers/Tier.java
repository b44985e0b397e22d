// SPDX-License-Identifier: BSD-2-Clause

import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URL;
import java.util.concurrent.Executors;

/** HOST PORT BACKEND-PORT, a pool of threads: GET /x/ID is GET /y/ID at the backend. */
public class Tier {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(
                new InetSocketAddress(args[0], Integer.parseInt(args[1])), 128);
        server.setExecutor(Executors.newFixedThreadPool(32));
        server.createContext("/", exchange -> {
            String path = exchange.getRequestURI().getPath();
            URL url = new URL("http://127.0.0.1:" + args[2] + "/y/"
                    + path.substring(path.lastIndexOf('/') + 1));
            byte[] body;
            try (InputStream in = ((HttpURLConnection) url.openConnection()).getInputStream()) {
                body = in.readAllBytes();
            }
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }
}
