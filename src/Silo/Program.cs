using OrleansCache.Silo.Hosting;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo;

/// <summary>The entry point: reads the options, runs what they ask for, and turns every end into an exit code and at most one line for a person.</summary>
internal static class Program
{
    public static int Main(string[] arguments)
    {
        int verbosity = 0;
        try
        {
            if (Operator.IsCalledBy(arguments))
                return Operator.Run(arguments);
            ServeOptions options = OptionReader.Read(
                arguments, Environment.GetEnvironmentVariable, variables: Environment.GetEnvironmentVariables().Keys.OfType<string>());
            verbosity = options.Verbosity;
            switch (options.Verb)
            {
                case Verb.Help:
                    Console.Out.Write(HelpText.Help());
                    return ExitCode.Ok;
                case Verb.Version:
                    Console.Out.WriteLine(Product.Title);
                    return ExitCode.Ok;
                case Verb.License:
                    Console.Out.WriteLine(Product.License);
                    return ExitCode.Ok;
                case Verb.OptionsPage:
                    Console.Out.Write(HelpText.Page());
                    return ExitCode.Ok;
                case Verb.ManualPage:
                    Console.Out.Write(ManualPage.Make());
                    return ExitCode.Ok;
                case Verb.CompletionBash or Verb.CompletionZsh:
                    Console.Out.Write(ShellCompletion.Of(options.Verb == Verb.CompletionBash ? "bash" : "zsh"));
                    return ExitCode.Ok;
                default:
                    return options.Daemon && !Daemon.IsChild ? Daemon.Launch(arguments) : ServeCommand.Run(options);
            }
        }
        catch (StartException exception)
        {
            Console.Error.WriteLine($"orleanscache: {exception.Message}");
            if (exception.Code == ExitCode.Usage)
                Console.Error.WriteLine("Try 'orleanscache --help' for the options.");
            if (verbosity >= 2 && exception.InnerException is { } inner)
                Console.Error.WriteLine(inner);
            return exception.Code;
        }
        catch (Exception exception)
        {
            return Product.Fail(exception, verbosity);
        }
    }
}
