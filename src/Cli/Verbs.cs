using OrleansCache.Cli.Commands;

namespace OrleansCache.Cli;

/// <summary>All commands for operators, in the order of the help text.</summary>
public static class Verbs
{
    public static IReadOnlyList<CliVerb> All { get; } =
    [
        StatusCommand.Verb,
        TopCommand.Verb,
        SilosCommand.Verb,
        MovesCommand.Verb,
        DrainCommand.Verb,
        SeedsCommand.Verb,
        KeysCommand.Verb,
        ItemCommands.Get,
        ItemCommands.Set,
        ItemCommands.Delete,
        BenchCommand.Verb,
        CheckCommand.Verb,
    ];

    public static CliVerb? Find(string name) => All.FirstOrDefault(verb => verb.Name == name);
}
