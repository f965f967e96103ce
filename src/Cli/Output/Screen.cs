using System.Text;

namespace OrleansCache.Cli.Output;

/// <summary>
/// A terminal that shows one frame after the other in place, on the alternate screen, so that what stood there before comes back at the end; the last
/// frame stays below it.
/// Every frame is drawn from the top: a window that was resized meanwhile, or a tmux that was attached again, shows the next one right.
/// </summary>
internal sealed class Screen : IDisposable
{
    private readonly CliSurroundings _surroundings;
    private IReadOnlyList<string> _last = [];

    public Screen(CliSurroundings surroundings)
    {
        _surroundings = surroundings;
        // The alternate screen; no cursor.
        Write("\u001b[?1049h\u001b[?25l");
    }

    /// <summary>Lines in plain text, no wider than the terminal.</summary>
    public void Show(IReadOnlyList<string> lines)
    {
        _last = lines;
        int rows = Math.Max(1, (_surroundings.CurrentRows?.Invoke() ?? 24) - 1);
        var text = new StringBuilder("\u001b[H");
        for (int i = 0; i < Math.Min(rows, lines.Count); i++)
            text.Append(Styled(lines[i], i)).Append("\u001b[K\r\n");
        Write(text.Append("\u001b[J").ToString());
    }

    public void Dispose()
    {
        Write("\u001b[?25h\u001b[?1049l");
        foreach (string line in _last)
            _surroundings.Out.WriteLine(line);
    }

    private string Styled(string line, int row) =>
        !_surroundings.HasColours ? line
        : line.StartsWith("critical", StringComparison.Ordinal) ? $"\u001b[31m{line}\u001b[0m"
        : line.StartsWith("warning", StringComparison.Ordinal) ? $"\u001b[33m{line}\u001b[0m"
        : row == 0 ? $"\u001b[1m{line}\u001b[0m"
        : line.StartsWith("SILO ", StringComparison.Ordinal) ? $"\u001b[4m{line}\u001b[0m" : line;

    private void Write(string text)
    {
        _surroundings.Out.Write(text);
        _surroundings.Out.Flush();
    }
}

/// <summary>A bar on one line of a terminal, gone at the end.</summary>
internal sealed class ProgressBar(CliSurroundings surroundings) : IDisposable
{
    public void Show(double share, string text)
    {
        int width = Math.Clamp(surroundings.ReadColumns() - 24, 8, 40);
        int done = (int)Math.Round(Math.Clamp(share, 0, 1) * width);
        Write($"\r[{new string('#', done)}{new string('.', width - done)}] {text}\u001b[K");
    }

    public void Dispose() => Write("\r\u001b[K");

    private void Write(string text)
    {
        surroundings.Out.Write(text);
        surroundings.Out.Flush();
    }
}
