using System.Text.Json;

namespace OrleansCache.Silo.Options;

/// <summary>
/// The settings file: one JSON object whose keys are the long option names. Values are numbers, strings, true and false; for -l and -o also arrays,
/// for -o also an object of names and values. Comments and trailing commas are welcome. A key that is no option is an error, not silently ignored.
/// </summary>
internal static class SettingsFile
{
    /// <summary>Far more than all options together need.</summary>
    private const int FileBytesMax = 1024 * 1024;

    public static OptionLayer Read(string path)
    {
        byte[] bytes;
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > FileBytesMax)
                throw StartException.Usage($"settings file {path}: larger than {FileBytesMax} bytes");
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            string reason = exception is FileNotFoundException or DirectoryNotFoundException ? "No such file or directory" : exception.Message;
            throw new StartException(ExitCode.Usage, $"settings file {path}: {reason}", exception);
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(
                bytes,
                new JsonDocumentOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
            return Read(path, document.RootElement);
        }
        catch (JsonException exception)
        {
            throw new StartException(
                ExitCode.Usage,
                $"settings file {path}: not valid JSON at line {exception.LineNumber + 1}, column {exception.BytePositionInLine + 1}",
                exception);
        }
    }

    private static OptionLayer Read(string path, JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw StartException.Usage($"settings file {path}: expected an object of option names and values");
        var layer = new OptionLayer();
        foreach (JsonProperty property in root.EnumerateObject())
        {
            Option? option = OptionTable.All.FirstOrDefault(option => string.Equals(option.Long, property.Name, StringComparison.OrdinalIgnoreCase));
            if (option is null || option.Long is "settings" or "help" or "version" or "license")
            {
                string? near = Spelling.Nearest(property.Name, OptionTable.All.Select(known => known.Long));
                throw StartException.Usage($"settings file {path}: unknown setting \"{property.Name}\"" + (near is null ? "" : $"; did you mean \"{near}\"?"));
            }

            string place = $"settings file {path}: {option.Long}: ";
            if (property.Value.ValueKind != JsonValueKind.Null)
                layer.Add(option, Text(option, property.Value) ?? throw StartException.Usage($"{place}a value of this kind cannot stand here"), place);
        }

        return layer;
    }

    private static string? Text(Option option, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Number => value.GetRawText(),
        JsonValueKind.True => option.Kind == OptionKind.Flag ? "true" : null,
        JsonValueKind.False => option.Kind == OptionKind.Flag ? "false" : null,
        JsonValueKind.Array when option.Kind == OptionKind.List => Join(value.EnumerateArray().Select(Scalar)),
        JsonValueKind.Object when option.Long == "extended" => Join(value.EnumerateObject().Select(Extended)),
        _ => null,
    };

    private static string? Extended(JsonProperty property) => property.Value.ValueKind switch
    {
        JsonValueKind.True => property.Name,
        JsonValueKind.False => "",
        _ => Scalar(property.Value) is { } text ? $"{property.Name}={text}" : null,
    };

    private static string? Scalar(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Number => value.GetRawText(),
        _ => null,
    };

    private static string? Join(IEnumerable<string?> parts)
    {
        string?[] all = [.. parts];
        return all.Contains(null) ? null : string.Join(",", all.Where(part => part!.Length > 0));
    }
}
