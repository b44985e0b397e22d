module github.com/libappmon/libappmon/bindings/go

go 1.19
