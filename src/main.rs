fn main() -> std::process::ExitCode {
    hongyan::cli::main()
}
