namespace OrleansCache.Cli;

/// <summary>An option of a verb. The table of these is what parsing, help, the manual page and shell completion read.</summary>
/// <param name="Name">Without dashes.</param>
/// <param name="Argument">What stands for the value; empty for a flag.</param>
/// <param name="Help">One sentence, without a full stop.</param>
public sealed record VerbOption(string Name, string Argument, string Help)
{
    public bool TakesValue => Argument.Length > 0;
}

/// <summary>A command for operators: speaks to a running server and ends.</summary>
public sealed record CliVerb
{
    public required string Name { get; init; }

    /// <summary>For the list of verbs.</summary>
    public required string Summary { get; init; }

    /// <summary>Operands, as in "KEY..."; empty if there are none.</summary>
    public string Operands { get; init; } = "";

    public int OperandsMin { get; init; }

    public int OperandsMax { get; init; }

    public IReadOnlyList<VerbOption> Options { get; init; } = [];

    /// <summary>What the page of the verb says beside its options: what is printed, and the exit codes.</summary>
    public required string Help { get; init; }

    internal Func<CliContext, int> Run { get; init; } = static _ => throw new NotSupportedException();

    /// <summary>Of every verb.</summary>
    public static IReadOnlyList<VerbOption> Common { get; } =
    [
        new("server", "host:port", "the server to ask, any gateway of a cluster; or unix:PATH (default: $ORLEANSCACHE_SERVER or 127.0.0.1:11211)"),
        new("user", "name", "log in as this user"),
        new("password-file", "file", "file with the password, or with name:password lines as the server's -Y has"),
        new("tls", "", "speak TLS"),
        new("tls-ca", "file", "authorities that the server's certificate may come from, in PEM format (implies --tls)"),
        new("tls-cert", "file", "certificate to show, in PEM format (implies --tls)"),
        new("tls-key", "file", "its key, if it does not stand in the same file"),
        new("tls-insecure", "", "take any certificate (implies --tls)"),
        new("timeout", "seconds", "longest wait for an answer (default: 5)"),
        new("json", "", "print JSON"),
        new("help", "", "print this page"),
    ];
}
