# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154,SC2004 # What the demo sets: dir, here, cgroup, appmon ...
# The scene of `sudo ./examples/demo --shop`, read in by the demo.

shop=$here/shop
built=$build/demo # compiled once
services=(web shop catalog-1 catalog-2 cart orders redis)
alerts=(slow-catalog failing-orders dead-catalog)

compile_services() {
	mkdir -p "$built"
	if [ ! "$built/catalog" -nt "$shop/catalog.go" ]; then
		GO111MODULE=off GOCACHE=$built/go-cache CGO_ENABLED=0 go build -o "$built/catalog" \
			"$shop/catalog.go" >"$dir/go.log" 2>&1 || die_with "$dir/go.log" "go build failed"
	fi
	if [ ! "$built/Orders.class" -nt "$shop/Orders.java" ]; then
		javac -d "$built" "$shop/Orders.java" >"$dir/javac.log" 2>&1 ||
			die_with "$dir/javac.log" "javac failed"
	fi
	chown -R --reference="$top" "$built"
}

# label CGROUP NAME: an extended attribute, which is what the agent's rule looks for.
label() {
	mkdir -p "$cgroup/$1"
	python3 -c 'import os, sys
os.setxattr(sys.argv[1], "user.app", sys.argv[2].encode())' "$cgroup/$1" "$2" ||
		die "cgroups have no labels (extended attributes) on this kernel; Linux 5.7 brought them"
}

# serve NAME LABEL COMMAND...: a service that takes a free port and writes which.
serve() {
	local service=$1

	label "$1" "$2"
	shift 2
	start "$service" "$@"
	until_true 20 test -e "$dir/$service.port" ||
		die_with "$dir/$service.out" "$service does not start"
	port[$service]=$(cat "$dir/$service.port")
}

web_serves_or_is_gone() {
	[ -s "$dir/web.pid" ] || ! kill -0 "${pid[web]}" 2>/dev/null
}

start_web() {
	mkdir -p "$dir/www"
	echo '<h1>The shop</h1>' >"$dir/www/index.html"
	echo 'h1 { color: green }' >"$dir/www/style.css"
	label web web
	# nginx takes no port 0; if another took the free one meanwhile, try the next.
	for _ in {1..5}; do
		port[web]=$(free_port)
		sed "s|@DIR@|$dir|; s|@PORT@|${port[web]}|; s|@SHOP@|${port[shop]}|" \
			"$shop/web.conf.in" >"$dir/web.conf"
		start web nginx -e "$dir/web.error.log" -c "$dir/web.conf"
		until_true 10 web_serves_or_is_gone && [ -s "$dir/web.pid" ] && return
	done
	die_with "$dir/web.error.log" "nginx does not start"
}

redis_serves_or_is_gone() {
	[ -S "$dir/redis.sock" ] || ! kill -0 "${pid[redis]}" 2>/dev/null
}

# As nginx, it takes no port 0. The socket says that it is ready.
start_redis() {
	label redis redis
	for _ in {1..5}; do
		port[redis]=$(free_port)
		start redis redis-server --bind 127.0.0.1 --port "${port[redis]}" \
			--unixsocket "$dir/redis.sock" --save '' --dir "$dir"
		until_true 20 redis_serves_or_is_gone && [ -S "$dir/redis.sock" ] && return
	done
	die_with "$dir/redis.out" "redis does not start"
}

start_shop() {
	local service

	say "A shop of five services, each instance in a cgroup of its own"
	start_redis
	serve catalog-1 catalog "$built/catalog" "$dir" catalog-1
	serve catalog-2 catalog "$built/catalog" "$dir" catalog-2
	serve orders orders java -Xshare:auto -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx64m \
		-cp "$built" Orders "$dir"
	serve cart cart python3 "$shop/cart.py" "$dir" "${port[redis]}"
	serve shop shop node "$shop/shop.js" "$dir" "${port[cart]}" "${port[orders]}" \
		"${port[catalog-1]}" "${port[catalog-2]}"
	start_web
	cat <<-END
		web (nginx)  ->  shop (node)  ->  catalog-1, catalog-2 (go)
		                              ->  cart (python)  ->  redis
		                              ->  orders (java)
	END
	for service in "${services[@]}"; do
		printf '%-10s 127.0.0.1:%s  %s\n' "$service" "${port[$service]}" "$cgroup/$service"
	done
}

agent_serves() {
	metrics=$(sed -n 's|^appmon: \(http://.*/metrics\)$|\1|p' "$dir/agent.err")
	[ "$metrics" ] && grep -q "watching ${#services[@]} cgroup" "$dir/agent.err"
}

start_agent() {
	say "appmon agent, which knows the rules in examples/demo.d/shop/agent.yaml.in"
	sed "s|@DIR@|$dir|; s|@CGROUP@|/${cgroup##*/}|" "$shop/agent.yaml.in" >"$dir/agent.yaml"
	touch "$dir/alerts.json"
	"$appmon" agent -c "$dir/agent.yaml" 2>"$dir/agent.err" &
	pid[agent]=$!
	until_true 20 agent_serves || die_with "$dir/agent.err" "the agent does not start"
	cat "$dir/agent.err"
}

start_customers() {
	python3 "$shop/customers.py" "${port[web]}" "$dir/customers.json" >"$dir/customers.out" 2>&1 &
	pid[customers]=$!
}

# alert_is NAME STATUS: the agent has written that.
alert_is() {
	grep -qs "\"alert\":\"$1\",\"status\":\"$2\"" "$dir/alerts.json"
}

# await ALERT STATUS: shows what the agent says when it happens.
await() {
	until_true 30 alert_is "$1" "$2" || die_with "$dir/agent.err" "the alert $1 is not $2"
	grep -E " (FIRING|RESOLVED) $1:" "$dir/agent.err" | tail -n 1
}

# One screen of top: for a reader without a terminal.
print_top() {
	tmux -S "$dir/tmux" -f /dev/null new-session -d -x 80 -y 20 "$appmon" top "${targets[@]}"
	sleep 5
	tmux -S "$dir/tmux" capture-pane -p || die "appmon top failed"
	tmux -S "$dir/tmux" kill-server
}

show_top() {
	if [ "$terminal" ] && [ ! "$quick" ]; then
		say "appmon top: a quarter of a minute, or until you press q"
		sleep 2
		timeout --foreground 15 "$appmon" top "${targets[@]}"
	else
		say "appmon top"
		print_top
	fi
}

# Who calls whom, from before a fault until its alert.
watch_topology() {
	"$appmon" topology --duration 6s "${targets[@]}" >"$dir/topology" 2>"$dir/topology.err" &
	pid[topology]=$!
	until_true 20 grep -qs watching "$dir/topology.err" ||
		die_with "$dir/topology.err" "appmon topology failed"
}

show_topology() {
	wait "${pid[topology]}" || die_with "$dir/topology.err" "appmon topology failed"
	cat "$dir/topology"
}

slow_catalog() {
	say "The catalog becomes slow"
	watch_topology
	touch "$dir/slow-catalog"
	await slow-catalog firing
	show_topology
	rm "$dir/slow-catalog"
	echo "${dim}... and is quick again$plain"
	await slow-catalog resolved
}

failing_orders() {
	say "Every other order fails"
	watch_topology
	touch "$dir/broken-orders"
	await failing-orders firing
	show_topology
	rm "$dir/broken-orders"
	echo "${dim}... and is repaired$plain"
	await failing-orders resolved
}

dead_catalog() {
	say "One of the two catalogs is killed"
	watch_topology
	kill -9 "${pid[catalog-2]}"
	wait "${pid[catalog-2]}" 2>/dev/null
	await dead-catalog firing
	show_topology
	start catalog-2 "$built/catalog" "$dir" catalog-2 "${port[catalog-2]}"
	echo "${dim}... and started again$plain"
	await dead-catalog resolved
}

shop_scene() {
	local service targets=(--protocols "http1,resp")

	prepare build shop
	compile_services
	start_shop
	for service in "${services[@]}"; do
		targets+=(--cgroup "$cgroup/$service" --name "${service%-[12]}")
	done
	start_agent
	start_customers
	show_top
	slow_catalog
	failing_orders
	dead_catalog
	say "What the customers counted, and what the agent counted at the front door"
	stop customers
	sleep 0.5 # what was sent last is on its way through the ring
	curl -s "$metrics" >"$dir/metrics" || die "there is no answer from $metrics"
	stop agent || die_with "$dir/agent.err" "the agent failed"
	python3 "$shop/check.py" "$dir" "${alerts[@]}"
}
