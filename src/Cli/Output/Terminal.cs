using Spectre.Console;

namespace OrleansCache.Cli.Output;

/// <summary>Spectre.Console over the surroundings: their width, their writer, and colours only where they are welcome.</summary>
internal static class Terminal
{
    public static IAnsiConsole Create(CliSurroundings surroundings)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = surroundings.IsTerminal ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = surroundings.HasColours ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = surroundings.IsTerminal ? InteractionSupport.Yes : InteractionSupport.No,
            Out = new AnsiConsoleOutput(surroundings.Out),
        });
        console.Profile.Width = surroundings.Columns;
        return console;
    }
}
