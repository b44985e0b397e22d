// SPDX-License-Identifier: BSD-2-Clause
// Netty PORT CERTIFICATE KEY: netty's HTTPS with BoringSSL. "/big" has a million bytes, the rest five.
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.File;
import java.util.Arrays;

public class Netty {
	static class Answer extends SimpleChannelInboundHandler<FullHttpRequest> {
		@Override
		protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
			byte[] body = new byte[request.uri().equals("/big") ? 1000000 : 5];
			Arrays.fill(body, (byte) 'b');
			var response = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK,
					Unpooled.wrappedBuffer(body));
			response.headers().set(HttpHeaderNames.CONTENT_LENGTH, body.length);
			context.writeAndFlush(response);
		}
	}

	public static void main(String[] args) throws Exception {
		SslContext ssl = SslContextBuilder.forServer(new File(args[1]), new File(args[2]))
				.sslProvider(SslProvider.OPENSSL).build();
		var loop = new NioEventLoopGroup(2);
		new ServerBootstrap().group(loop).channel(NioServerSocketChannel.class)
				.childHandler(new ChannelInitializer<SocketChannel>() {
					@Override
					protected void initChannel(SocketChannel channel) {
						channel.pipeline().addLast(ssl.newHandler(channel.alloc()), new HttpServerCodec(),
								new HttpObjectAggregator(1 << 20), new Answer());
					}
				}).bind("127.0.0.1", Integer.parseInt(args[0])).sync().channel().closeFuture().sync();
	}
}
