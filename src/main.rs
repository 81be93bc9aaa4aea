/// 10 000 users who write at once cost a tenth less CPU a message than with glibc's allocator, for 1 to 3 KB
/// more a session; see docs/BENCHMARKS.md. It asks for no huge pages (`no_thp`): sockets would wait while the
/// kernel zeroes one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hongyan::cli::main()
}
