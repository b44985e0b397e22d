module libappmon/bindings/go

go 1.19
