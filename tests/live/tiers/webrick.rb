# SPDX-License-Identifier: BSD-2-Clause
# HOST PORT BACKEND-PORT, a thread per connection: GET /x/ID is GET /y/ID at the backend.
require 'net/http'
require 'webrick'

host, port, backend = ARGV
server = WEBrick::HTTPServer.new(BindAddress: host, Port: port.to_i, AccessLog: [],
                                 Logger: WEBrick::Log.new(File::NULL))
server.mount_proc('/') do |request, response|
  response.body = Net::HTTP.get('127.0.0.1', "/y/#{request.path.split('/').last}", backend.to_i)
end
server.start
