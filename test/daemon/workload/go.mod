module drayage.invalid/workload

go 1.21
