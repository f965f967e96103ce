using System.Globalization;
using OrleansCache.Cli.Client;

namespace OrleansCache.Cli;

/// <summary>What an operator's server options would be, as the program that holds the option table reads them.</summary>
/// <param name="Error">What is wrong with them; null: nothing.</param>
/// <param name="Warnings">What the start would warn of.</param>
/// <param name="MemoryBytes">-m.</param>
/// <param name="ConnectionsMax">-c.</param>
/// <param name="Ports">TCP ports that the start would take, with what they are for.</param>
/// <param name="Peers">HOST:PORT of silos to join.</param>
public sealed record PlannedServer(
    string? Error, IReadOnlyList<string> Warnings, long MemoryBytes, int ConnectionsMax, IReadOnlyList<(string What, string Host, int Port)> Ports,
        IReadOnlyList<string> Peers);

/// <summary>The surroundings of a command: where it writes, and what it may ask the program.</summary>
public sealed record CliSurroundings
{
    public required TextWriter Out { get; init; }

    public required TextWriter Error { get; init; }

    /// <summary>Standard input, for `set` without a value.</summary>
    public required Func<Stream> OpenInput { get; init; }

    /// <summary>Standard output as bytes, for values that are no text.</summary>
    public required Func<Stream> OpenOutput { get; init; }

    public required Func<string, string?> Environment { get; init; }

    /// <summary>Columns to keep to.</summary>
    public int Columns { get; init; } = 80;

    /// <summary>Columns as they are now, for what runs while a window is resized; null: they stay.</summary>
    public Func<int>? CurrentColumns { get; init; }

    /// <summary>The key that was pressed meanwhile; null: none, or no keyboard.</summary>
    public Func<char?>? ReadKey { get; init; }

    /// <summary>Rows as they are now; null: not known.</summary>
    public Func<int>? CurrentRows { get; init; }

    public int ReadColumns() => CurrentColumns?.Invoke() ?? Columns;

    /// <summary>Whether output goes to a terminal that can move its cursor.</summary>
    public bool IsTerminal { get; init; }

    /// <summary>Whether colours are welcome.</summary>
    public bool HasColours { get; init; }

    /// <summary>Reads server options without starting anything.</summary>
    public required Func<IReadOnlyList<string>, PlannedServer> ReadServerOptions { get; init; }

    /// <summary>Ends a command that runs until it is stopped.</summary>
    public CancellationToken Stop { get; init; }
}

/// <summary>One call of one verb: its options and operands, read and checked.</summary>
internal sealed class CliContext(CliVerb verb, CliSurroundings surroundings, Dictionary<string, string> options, List<string> operands, List<string> rest)
{
    public CliVerb Verb => verb;

    public CliSurroundings Surroundings => surroundings;

    public TextWriter Out => surroundings.Out;

    public TextWriter Error => surroundings.Error;

    public IReadOnlyList<string> Operands => operands;

    /// <summary>What stands behind "--".</summary>
    public IReadOnlyList<string> Rest => rest;

    public bool IsJson => options.ContainsKey("json");

    public CancellationToken Stop => surroundings.Stop;

    public bool Has(string option) => options.ContainsKey(option);

    public string? Text(string option) => options.GetValueOrDefault(option);

    public int Integer(string option, int standard, int least, int most)
    {
        if (Text(option) is not { } text)
            return standard;
        if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value))
            throw CliException.Usage($"--{option}: \"{text}\" is not a number");
        if (value < least || value > most)
            throw CliException.Usage(string.Create(CultureInfo.InvariantCulture, $"--{option}: {text} is not between {least} and {most}"));
        return value;
    }

    public double Fraction(string option, double standard, double least, double most)
    {
        if (Text(option) is not { } text)
            return standard;
        if (!double.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out double value))
            throw CliException.Usage($"--{option}: \"{text}\" is not a number");
        if (value < least || value > most)
            throw CliException.Usage(string.Create(CultureInfo.InvariantCulture, $"--{option}: {text} is not between {least} and {most}"));
        return value;
    }

    /// <summary>Where the options say.</summary>
    public ServerAddress Server => ServerAddress.Parse(Text("server") ?? surroundings.Environment("ORLEANSCACHE_SERVER") ?? "127.0.0.1:11211");

    public MemcachedConnection Connect() => Connect(Server);

    public MemcachedConnection Connect(ServerAddress server) => MemcachedConnection.Open(server, ConnectionOptions());

    public ConnectionOptions ConnectionOptions() => Client.ConnectionOptions.Read(this);
}
