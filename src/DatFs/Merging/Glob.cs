using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>
/// A pattern for paths, as in attributes files: "*" and "?" stand for any characters of one name, "**" for any names, "\" takes the next character
/// as it is. A pattern with a "/" before its end begins at the root, else it means a name anywhere; with a "/" at the end, all below. Letters are
/// compared exactly. Matching takes at most as many steps as pattern times path, whatever either holds.
/// </summary>
internal sealed class Glob
{
    /// <summary>Longest pattern, in characters.</summary>
    public const int MaxLength = 128;

    private readonly List<Token> _tokens = [];

    private Glob(string pattern)
    {
        bool below = pattern.EndsWith('/') && !pattern.EndsWith("\\/", StringComparison.Ordinal);
        ReadOnlySpan<char> text = below ? pattern.AsSpan(0, pattern.Length - 1) : pattern;
        bool anchored = text.Contains('/');
        if (text.StartsWith("/")) text = text[1..];
        if (!anchored) AddNames();
        for (int i = 0; i < text.Length; i++)
        {
            bool atName = i == 0 || text[i - 1] == '/';
            if (text[i] == '\\' && i + 1 < text.Length) _tokens.Add(new Token(TokenKind.One, text[++i]));
            else if (atName && text[i..].StartsWith("**/"))
            {
                AddNames();
                i += 2;
            }
            else if (atName && text[i..] is "**") (below, i) = (true, i + 1);
            else if (text[i] == '*') _tokens.Add(new Token(TokenKind.Characters, '\0'));
            else if (text[i] == '?') _tokens.Add(new Token(TokenKind.AnyOne, '\0'));
            else _tokens.Add(new Token(TokenKind.One, text[i]));
        }

        if (!below) return;
        if (_tokens is not [.., { Kind: TokenKind.One, Value: '/' }] && text.Length > 0 && !text.SequenceEqual("**")) _tokens.Add(new Token(TokenKind.One, '/'));
        _tokens.Add(new Token(TokenKind.Everything, '\0'));
    }

    private enum TokenKind : byte
    {
        One,
        AnyOne,
        Characters,
        Names,
        InName,
        Everything,
    }

    /// <summary>Null when the pattern is empty or too long.</summary>
    public static Glob? Parse(string pattern) => pattern.Length is 0 or > MaxLength || pattern is "/" ? null : new Glob(pattern);

    public bool Matches(DrivePath path)
    {
        if (path.IsRoot) return false;
        ReadOnlySpan<char> text = path.Text.AsSpan(1);

        // Bit i: what lies before the character matches the first i tokens.
        Span<bool> now = stackalloc bool[_tokens.Count + 1], next = stackalloc bool[_tokens.Count + 1];
        now[0] = true;
        Skip(now);
        for (int at = 0; at < text.Length; at++)
        {
            next.Clear();
            bool any = false;
            for (int i = 0; i < _tokens.Count; i++)
            {
                if (!now[i]) continue;
                Token token = _tokens[i];
                switch (token.Kind)
                {
                    case TokenKind.One when token.Value == text[at]:
                    case TokenKind.AnyOne when text[at] != '/':
                    case TokenKind.Names when text[at] != '/':
                        any = next[i + 1] = true;
                        break;
                    case TokenKind.Characters when text[at] != '/':
                    case TokenKind.InName when text[at] != '/':
                        any = next[i] = true;
                        break;
                    case TokenKind.InName:
                        any = next[i - 1] = true;
                        break;
                    case TokenKind.Everything:
                        any = next[i] = next[i + 1] = true;
                        break;
                }
            }

            if (!any) return false;
            Skip(next);
            Span<bool> swap = now;
            now = next;
            next = swap;
        }

        return now[_tokens.Count];
    }

    private void AddNames()
    {
        _tokens.Add(new Token(TokenKind.Names, '\0'));
        _tokens.Add(new Token(TokenKind.InName, '\0'));
    }

    // Tokens that may stand for nothing are passed over.
    private void Skip(Span<bool> states)
    {
        for (int i = 0; i < _tokens.Count; i++)
        {
            if (!states[i]) continue;
            if (_tokens[i].Kind == TokenKind.Characters) states[i + 1] = true;
            else if (_tokens[i].Kind == TokenKind.Names) states[i + 2] = true;
        }
    }

    private readonly record struct Token(TokenKind Kind, char Value);
}
