namespace OrleansCache.Silo.Options;

/// <summary>Sections of the help text and of docs/options.md, in their order.</summary>
internal enum OptionGroup
{
    Listening,
    Memory,
    Connections,
    Commands,
    Process,
    Monitoring,
    Cluster,
}

internal enum OptionKind
{
    /// <summary>Given or not.</summary>
    Flag,

    /// <summary>Each time it is given counts one; in the environment and in the settings file a number.</summary>
    Counter,

    /// <summary>Takes a value; the last one given counts.</summary>
    Value,

    /// <summary>Takes a value; several add up, joined by commas.</summary>
    List,
}

internal enum OptionState
{
    Works,

    /// <summary>Taken so that command lines written for memcached work; it changes nothing here, for the reason that its help names.</summary>
    NoEffect,

    /// <summary>Known, but an error in this version.</summary>
    NotYet,

    /// <summary>Known, and an error for good: what it asks for cannot be here, for the reason that its help names.</summary>
    Refused,
}

/// <summary>
/// One option, in every form in which a person may set it. The table of these (<see cref="OptionTable"/>) is the only place that knows an option:
/// the parser, the environment, the settings file, the help text and docs/options.md all read it.
/// </summary>
internal sealed record Option
{
    /// <summary>memcached's letter; '\0' if there is none.</summary>
    public char Short { get; init; }

    /// <summary>The long name; also the name in the settings file.</summary>
    public required string Long { get; init; }

    public required OptionGroup Group { get; init; }

    public OptionKind Kind { get; init; } = OptionKind.Value;

    public OptionState State { get; init; } = OptionState.Works;

    /// <summary>What stands for the value in the help: num, file ...</summary>
    public string Argument { get; init; } = "";

    /// <summary>The default as a person reads it; empty if there is none worth naming.</summary>
    public string Default { get; init; } = "";

    public required string Help { get; init; }

    /// <summary>Whether memcached 1.6 has this option: its names win when a long name is abbreviated.</summary>
    public bool IsMemcached { get; init; }

    /// <summary>For tests of this program and of its clients: works, but stands in no help and on no page.</summary>
    public bool IsHidden { get; init; }

    /// <summary>Takes the value over. Returns what is wrong with it, in memcached's words where it has some, or null.</summary>
    public Func<ServeOptions, string, string?>? Apply { get; init; }

    public bool TakesValue => Kind is OptionKind.Value or OptionKind.List;

    /// <summary>The environment variable: ORLEANSCACHE_ and the long name in capitals, with _ for -.</summary>
    public string Variable => "ORLEANSCACHE_" + Long.ToUpperInvariant().Replace('-', '_');

    /// <summary>How messages name it: "-p, --port".</summary>
    public string Names => Short == '\0' ? "--" + Long : $"-{Short}, --{Long}";
}
