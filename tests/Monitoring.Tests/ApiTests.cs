using System.Text.Json;
using System.Text.RegularExpressions;

namespace OrleansCache.Monitoring.Tests;

public sealed partial class ApiTests
{
    private static readonly string[] s_paths =
        ["/api/status", "/api/silos", "/api/partitions", "/api/memory", "/api/commands", "/api/connections", "/api/keys", "/api/warnings"];

    public static TheoryData<string> Paths => [.. s_paths];

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task EveryFieldOfTheDocumentationIsThereAndNoOther(string path)
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await server.SendAsync("set a 0 0 3\r\nabc\r\nget a b\r\n");
        using JsonDocument answer = JsonDocument.Parse(await server.Http.GetStringAsync(path));

        Compare(path, Documented(path), answer.RootElement);
    }

    [Fact]
    public async Task AllIsAllOfThem()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using JsonDocument all = JsonDocument.Parse(await server.Http.GetStringAsync("/api/all"));

        Assert.Equal(s_paths.Select(static path => path["/api/".Length..]).Append("settings").Order(), all.RootElement.EnumerateObject()
            .Select(static property => property.Name).Order());
        foreach (string path in s_paths)
            Compare(path, Documented(path), all.RootElement.GetProperty(path["/api/".Length..]));
    }

    [Fact]
    public async Task NumbersAreThoseOfStats()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await server.SendAsync("set a 0 0 3\r\nabc\r\nset b 0 0 3\r\nabc\r\nget a b c\r\ndelete b\r\n");
        using JsonDocument status = JsonDocument.Parse(await server.Http.GetStringAsync("/api/status"));
        JsonElement values = status.RootElement.GetProperty("values");

        Assert.Equal(1, values.GetProperty("curr_items").GetInt64());
        Assert.Equal(2, values.GetProperty("get_hits").GetInt64());
        Assert.Equal(1, values.GetProperty("get_misses").GetInt64());
        Assert.Equal(Math.Round(2.0 / 3, 6), status.RootElement.GetProperty("hitRatio").GetDouble());
        Assert.Equal("single", status.RootElement.GetProperty("role").GetString());
        Assert.Equal(1, status.RootElement.GetProperty("cluster").GetProperty("silos").GetInt32());
        using JsonDocument memory = JsonDocument.Parse(await server.Http.GetStringAsync("/api/memory"));
        Assert.Equal(1, memory.RootElement.GetProperty("lost").GetProperty("deleted").GetInt64());
        using JsonDocument partitions = JsonDocument.Parse(await server.Http.GetStringAsync("/api/partitions"));
        Assert.Equal(Enumerable.Repeat(0, 256), partitions.RootElement.GetProperty("owners").EnumerateArray().Select(static owner => owner.GetInt32()));
    }

    /// <summary>The example below the path's heading in docs/http.md.</summary>
    private static JsonElement Documented(string path)
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "http.md"));
        Match example = Example().Match(page[page.IndexOf("### " + path, StringComparison.Ordinal)..]);
        Assert.True(example.Success, path);
        return JsonDocument.Parse(example.Groups[1].Value).RootElement;
    }

    /// <summary>The same fields everywhere. Objects called values, and lists that are empty here, show only examples.</summary>
    private static void Compare(string place, JsonElement documented, JsonElement answer)
    {
        if (documented.ValueKind == JsonValueKind.Null || answer.ValueKind == JsonValueKind.Null)
            return;
        Assert.Equal(Kind(documented), Kind(answer));
        if (documented.ValueKind == JsonValueKind.Array && documented.GetArrayLength() > 0 && answer.GetArrayLength() > 0)
        {
            Compare(place + "[]", documented[0], answer[0]);
        }
        else if (documented.ValueKind == JsonValueKind.Object && !place.EndsWith(".values", StringComparison.Ordinal))
        {
            Assert.Equal(
                (place, string.Join(' ', documented.EnumerateObject().Select(static property => property.Name).Order())),
                (place, string.Join(' ', answer.EnumerateObject().Select(static property => property.Name).Order())));
            foreach (JsonProperty property in documented.EnumerateObject())
                Compare($"{place}.{property.Name}", property.Value, answer.GetProperty(property.Name));
        }
    }

    private static JsonValueKind Kind(JsonElement element) => element.ValueKind == JsonValueKind.False ? JsonValueKind.True : element.ValueKind;

    [GeneratedRegex(@"```json\s*(\{.*?)```", RegexOptions.Singleline)]
    private static partial Regex Example();
}
