using System.Text;

namespace OrleansCache.Cli;

/// <summary>A row of help: what is meant on the left, its text on the right, broken at spaces.</summary>
public static class HelpRow
{
    /// <summary>
    /// Adds the row. The text begins at column <paramref name="indent"/>, and stays within <paramref name="columns"/> unless a word is longer.
    /// </summary>
    public static void Append(StringBuilder text, string left, string right, int indent, int columns)
    {
        text.Append(left);
        int column = left.Length;
        foreach (string word in right.Split(' '))
        {
            if (column < indent)
            {
                text.Append(' ', indent - column);
                column = indent;
            }
            else if (column + 1 + word.Length > columns || (column == left.Length && left.Length >= indent))
            {
                text.Append('\n').Append(' ', indent);
                column = indent;
            }
            else
            {
                text.Append(' ');
                column++;
            }

            text.Append(word);
            column += word.Length;
        }

        text.Append('\n');
    }
}
