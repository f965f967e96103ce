using System.Text;

namespace OrleansCache.Cli;

/// <summary>The entry of the room: finds the verb, reads its options, runs it, and turns every end into an exit code and at most one line for a
/// person.</summary>
public static class CommandLine
{
    private const int HelpColumns = 80;
    private const int HelpIndent = 28;

    /// <summary>Runs `orleanscache VERB ...`. The first argument must be the name of a verb.</summary>
    public static int Run(IReadOnlyList<string> arguments, CliSurroundings surroundings)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(surroundings);
        CliVerb verb = Verbs.Find(arguments[0]) ?? throw new ArgumentException($"{arguments[0]} is no verb.", nameof(arguments));
        try
        {
            CliContext context = Parse(verb, arguments, surroundings);
            if (context.Has("help"))
            {
                surroundings.Out.Write(HelpOf(verb));
                return 0;
            }

            return verb.Run(context);
        }
        catch (CliException exception)
        {
            surroundings.Error.WriteLine($"orleanscache {verb.Name}: {exception.Message}");
            if (exception.ExitCode == 64)
                surroundings.Error.WriteLine($"Try 'orleanscache {verb.Name} --help'.");
            return exception.ExitCode;
        }
        catch (OperationCanceledException) when (surroundings.Stop.IsCancellationRequested)
        {
            return 130;
        }
        catch (IOException exception) when (exception is not FileNotFoundException)
        {
            // A pipe whose reader has seen enough (`keys | head`).
            return 1;
        }
    }

    /// <summary>The page of one verb.</summary>
    public static string HelpOf(CliVerb verb)
    {
        ArgumentNullException.ThrowIfNull(verb);
        var text = new StringBuilder();
        string usage = $"{verb.Name} {verb.Operands}".TrimEnd();
        text.Append($"Usage: orleanscache {usage} [options]\n\n{verb.Help.TrimEnd()}\n\nOptions:\n");
        foreach (VerbOption option in verb.Options.Concat(CliVerb.Common))
            HelpRow.Append(text, $"  --{option.Name}{(option.TakesValue ? " <" + option.Argument + ">" : "")}", option.Help, HelpIndent, HelpColumns);
        return text.ToString();
    }

    private static CliContext Parse(CliVerb verb, IReadOnlyList<string> arguments, CliSurroundings surroundings)
    {
        var options = new Dictionary<string, string>();
        var operands = new List<string>();
        var rest = new List<string>();
        for (int i = 1; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (argument == "--")
            {
                rest.AddRange(arguments.Skip(i + 1));
                break;
            }

            if (argument == "-h")
                argument = "--help";
            if (argument.Length < 2 || argument[0] != '-')
            {
                operands.Add(argument);
                continue;
            }

            if (!argument.StartsWith("--", StringComparison.Ordinal))
                throw CliException.Usage($"unknown option '{argument}' (options of this command have two dashes)");
            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? argument[2..] : argument[2..equals];
            VerbOption option = verb.Options.Concat(CliVerb.Common).FirstOrDefault(option => option.Name == name)
                ?? throw CliException.Usage($"unknown option '--{name}'");
            if (!option.TakesValue && equals >= 0)
                throw CliException.Usage($"option '--{name}' takes no value");
            if (!option.TakesValue)
                options[name] = "";
            else if (equals >= 0)
                options[name] = argument[(equals + 1)..];
            else if (i + 1 < arguments.Count)
                options[name] = arguments[++i];
            else
                throw CliException.Usage($"option '--{name}' needs a value");
        }

        bool isHelp = options.ContainsKey("help");
        if (!isHelp && operands.Count < verb.OperandsMin)
            throw CliException.Usage($"{verb.Operands} is missing");
        if (!isHelp && operands.Count > verb.OperandsMax)
            throw CliException.Usage($"unexpected argument '{operands[verb.OperandsMax]}'");
        return new CliContext(verb, surroundings, options, operands, rest);
    }
}
