using OrleansCache.Chaos;

if (args.Any(static argument => argument is "-h" or "--help"))
{
    Console.WriteLine(ChaosOptions.Help);
    return 0;
}

if (ChaosOptions.Parse(args, out string? error) is not { } options)
{
    Console.Error.WriteLine($"chaos: {error}; --help lists the options");
    return 64;
}

return await ChaosRun.RunAsync(options);
