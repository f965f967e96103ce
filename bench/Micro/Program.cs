using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using OrleansCache.Benchmarks;

// --check: allocation budgets only, in seconds. Everything else goes to BenchmarkDotNet (--filter, --list, ...);
// --short: three iterations after three of warm-up instead of BenchmarkDotNet's own choice.
if (args.Contains("--check"))
    return AllocationBudgets.Check(Console.Out);

bool isShort = args.Contains("--short");

// In this process: the generated projects of the default toolchain would be built inside this repository, with its rules.
Job job = (isShort ? Job.ShortRun : Job.Default).WithToolchain(InProcessEmitToolchain.Instance);
IConfig config = DefaultConfig.Instance.AddJob(job).AddDiagnoser(MemoryDiagnoser.Default).WithArtifactsPath(Path.Combine("artifacts", "bench", "micro"));
BenchmarkSwitcher.FromAssembly(typeof(AllocationBudgets).Assembly).Run(args.Where(a => a != "--short").ToArray(), config);
return 0;
