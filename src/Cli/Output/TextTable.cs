using System.Text;

namespace OrleansCache.Cli.Output;

/// <summary>
/// A table in plain text. Where the terminal is too narrow, columns are left out from the last one on, but for those marked as needed; what is still
/// too wide is cut.
/// </summary>
internal sealed class TextTable(params TextTable.Column[] columns)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells) => _rows.Add(cells);

    /// <summary>Lines without their ends.</summary>
    public List<string> Lines(int columnsMax)
    {
        int[] widths = [.. columns.Select((column, i) => Math.Max(column.Title.Length, _rows.Count == 0 ? 0 : _rows.Max(row => row[i].Length)))];
        bool[] shown = [.. columns.Select(_ => true)];
        for (int i = columns.Length - 1; i >= 0 && Width() > columnsMax; i--)
            shown[i] = columns[i].IsNeeded;
        List<string> lines = [Line([.. columns.Select(column => column.Title)])];
        lines.AddRange(_rows.Select(Line));
        return lines;

        int Width() => Enumerable.Range(0, columns.Length).Where(i => shown[i]).Sum(i => widths[i] + 2) - 2;

        string Line(string[] cells)
        {
            var text = new StringBuilder();
            for (int i = 0; i < columns.Length; i++)
            {
                if (!shown[i])
                    continue;
                if (text.Length > 0)
                    text.Append("  ");
                text.Append(columns[i].IsNumber ? cells[i].PadLeft(widths[i]) : cells[i].PadRight(widths[i]));
            }

            string line = text.ToString().TrimEnd();
            return line.Length <= columnsMax ? line : line[..columnsMax];
        }
    }

    public void Write(TextWriter output, int columnsMax)
    {
        foreach (string line in Lines(columnsMax))
            output.WriteLine(line);
    }

    /// <param name="Title">In capitals.</param>
    /// <param name="IsNumber">Stands to the right.</param>
    /// <param name="IsNeeded">Stays in a narrow terminal.</param>
    internal readonly record struct Column(string Title, bool IsNumber = false, bool IsNeeded = false);
}
